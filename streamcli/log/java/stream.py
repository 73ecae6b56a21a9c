"""A stream through the Java client: its tags, its segments and what follows them, each call with a bounded wait."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streamcli.log.java.client import Manager, is_a, java, kind
from streamcli.log.java.lane import Lane
from streamcli.log.java.opening import Extent
from streamcli.log.log_id import open_stream

_IMPL = "io.pravega.client"


class JavaStream:
    """One stream, used by one lane."""

    def __init__(self, manager: Manager, lane: Lane, scope: str, stream: str) -> None:
        self.manager, self._lane = manager, lane
        self.scope, self.name = scope, stream
        self._controller = manager.controller
        self._looks: dict[int, Any] = {}
        self._metadata = java(f"{_IMPL}.segment.impl.SegmentMetadataClientFactoryImpl")(self._controller, manager.pool)

    def open(self, make: bool = True) -> str:
        """Create scope and stream if missing and ``make`` is true; return the log's id."""
        return open_stream(self, (self.scope, self.name), kind, make)

    def tags(self) -> Iterable[str]:
        """Return the stream's tags."""
        return map(str, self._lane.get(self._controller.getStreamConfiguration(self.scope, self.name)).getTags())

    def create_scope(self) -> object:
        """Create the scope, if it is missing."""
        return self._lane.get(self._controller.createScope(self.scope))

    def create_stream(self, tag: str) -> object:
        """Create the stream with one segment and ``tag``, if it is missing."""
        policy = java(f"{_IMPL}.stream.ScalingPolicy").fixed(1)
        tags = java("java.util.Collections").singletonList(tag)
        config = java(f"{_IMPL}.stream.StreamConfiguration").builder().scalingPolicy(policy).tags(tags).build()
        return self._lane.get(self._controller.createStream(self.scope, self.name, config))

    def may_write(self) -> None:
        """Raise the server's error if it does not permit writing."""
        write = java("io.pravega.shared.security.auth.AccessOperation").WRITE
        self._lane.get(self._controller.getOrRefreshDelegationTokenFor(self.scope, self.name, write))

    def delete(self) -> None:
        """Seal and delete the stream."""
        self._lane.get(self._controller.sealStream(self.scope, self.name))
        self._lane.get(self._controller.deleteStream(self.scope, self.name))

    def segment(self, number: int) -> Any:
        """Return the client's name of a segment."""
        return java(f"{_IMPL}.segment.impl.Segment")(self.scope, self.name, number)

    def token(self, number: int) -> Any:
        """Return what gives the rights to read a segment."""
        read = java("io.pravega.shared.security.auth.AccessOperation").READ
        factory = java(f"{_IMPL}.security.auth.DelegationTokenProviderFactory")
        return factory.create(self._controller, self.segment(number), read)

    # -- what `opening.Segments` asks

    def heads(self) -> dict[int, int]:
        """Return the segments at the stream's head, each with the offset of its oldest byte."""
        stream = java(f"{_IMPL}.stream.impl.StreamImpl")(self.scope, self.name)
        found = self._lane.get(self._controller.getSegmentsAtTime(stream, 0))
        return {int(entry.getKey().getSegmentId()): int(entry.getValue()) for entry in found.entrySet()}

    def current(self) -> list[int]:
        """Return the segments that are written to now."""
        found = self._lane.get(self._controller.getCurrentSegments(self.scope, self.name)).getSegments()
        return [int(segment.getSegmentId()) for segment in found]

    def look(self, number: int) -> Extent | None:
        """Return what a segment holds now, None if there is no such segment."""
        try:
            return extent(self._lane.get(self.ask(number)))
        except Exception as error:
            if is_a(error, "NoSuchSegmentException"):
                return None
            raise

    def ask(self, number: int) -> Any:
        """Ask what a segment holds now; return the Java future."""
        client = self._looks.get(number)
        if client is None:
            client = self._metadata.createSegmentMetadataClient(self.segment(number), self.token(number))
            self._looks[number] = client
        return client.getSegmentInfo()

    def successors(self, number: int) -> dict[int, list[int]]:
        """Return the segments that follow an ended one, each with all segments that it follows."""
        found = self._lane.get(self._controller.getSuccessors(self.segment(number))).getSegmentToPredecessor()
        return {
            int(entry.getKey().getSegment().getSegmentId()): [int(before) for before in entry.getValue()]
            for entry in found.entrySet()
        }

    def first_bytes(self, number: int, offset: int, size: int) -> bytes:
        """Return at most ``size`` bytes at ``offset``, fewer if the segment ends there."""
        reading = self.bytes_of(number)
        try:
            piece = bytearray()
            while len(piece) < size:
                got = self._lane.get(reading.read(offset + len(piece), size - len(piece)))
                data = got.getData()
                count = int(data.readableBytes())
                array = java("java.nio.ByteBuffer").allocate(count)
                data.readBytes(array)
                piece += bytes(array.array())
                got.release()
                if not count:
                    break
            return bytes(piece[:size])  # the server sends 8 bytes at least
        finally:
            reading.close()

    def bytes_of(self, number: int) -> Any:
        """Return the client's reader of a segment's bytes: ``read(offset, size)`` gives a future."""
        return java(f"{_IMPL}.segment.impl.AsyncSegmentInputStreamImpl")(
            self._controller, self.manager.pool, self.segment(number), self.token(number), None
        )

    def forget(self, number: int) -> None:
        """Close what looks at a segment."""
        if client := self._looks.pop(number, None):
            client.close()

    def close(self) -> None:
        """Close all that is open."""
        for number in list(self._looks):
            self.forget(number)


def extent(info: Any) -> Extent:
    """Return what the client says of a segment."""
    return Extent(int(info.getStartingOffset()), int(info.getWriteOffset()), bool(info.isSealed()))
