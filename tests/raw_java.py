"""The program behind :class:`tests.java_admin.Admin`, and behind :class:`tests.raw.Raw` without the package pravega.

It speaks through Pravega's Java client, by what that client offers to everybody; none of streamcli's own reading or
writing is in it.
"""

from __future__ import annotations

import base64
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

from streamcli.java.client import client_runtime
from streamcli.java.progress import Quiet
from streamcli.log.java.client import Manager, java, start_jvm
from streamcli.model.address import parse_url
from tests.orders import events_in, given_account, obey

_IMPL = "io.pravega.client"
_HEAP = "-Xmx256m"  # a chat's own flags leave too little for many large events at once


class Client:
    """What :class:`tests.raw.Raw` and :class:`tests.java_admin.Admin` ask for."""

    def __init__(self, url: str, scope: str) -> None:
        runtime = client_runtime(Quiet())
        start_jvm(str(runtime.jvm), [*runtime.flags, _HEAP], runtime.classpath)
        self._client = Manager(replace(parse_url(url), login=given_account()))
        self._scope, self._writers = scope, dict[str, Any]()
        self._manager = java(f"{_IMPL}.admin.StreamManager").create(self._client.config)
        self._events = java(f"{_IMPL}.EventStreamClientFactory").withScope(scope, self._client.config)
        self._bytes = java(f"{_IMPL}.ByteStreamClientFactory").withScope(scope, self._client.config)

    def make(self, stream: str, segments: int) -> None:
        policy = java(f"{_IMPL}.stream.ScalingPolicy").fixed(segments)
        config = java(f"{_IMPL}.stream.StreamConfiguration").builder().scalingPolicy(policy).build()
        self._manager.createScope(self._scope)
        self._manager.createStream(self._scope, stream, config)
        self._writers.pop(stream, None)  # it may be another one's

    def write(self, stream: str, key: str, events: list[str]) -> None:
        if stream not in self._writers:
            serializer = java(f"{_IMPL}.stream.impl.ByteArraySerializer")()
            config = java(f"{_IMPL}.stream.EventWriterConfig").builder().build()
            self._writers[stream] = self._events.createEventWriter(stream, serializer, config)
        for event in events:
            self._writers[stream].writeEvent(key, _array(base64.b64decode(event)))
        self._writers[stream].flush()

    def read(self, stream: str) -> list[str]:
        log, data = self._bytes.createByteStreamReader(stream), bytearray()
        position, tail = log.fetchHeadOffset(), log.fetchTailOffset()
        log.seekToOffset(position)
        while position + len(data) < tail:
            data += _piece(log, 1 << 20)
        log.close()
        return [base64.b64encode(event).decode() for event in events_in(bytes(data))]

    def bounds(self, stream: str) -> list[int]:
        log = self._bytes.createByteStreamReader(stream)
        bounds = [int(log.fetchHeadOffset()), int(log.fetchTailOffset())]
        log.close()
        return bounds

    def bytes_at(self, stream: str, offset: int, size: int) -> str:
        log = self._bytes.createByteStreamReader(stream)
        log.seekToOffset(offset)
        piece = _piece(log, size)
        log.close()
        return base64.b64encode(piece).decode()

    def truncate(self, stream: str, offset: int) -> None:
        log = self._bytes.createByteStreamWriter(stream)
        log.truncateDataBefore(offset)
        log.close()

    def streams(self) -> list[str]:
        return [str(stream.getStreamName()) for stream in self._manager.listStreams(self._scope)]

    def seal(self, stream: str) -> None:
        self._manager.sealStream(self._scope, stream)

    def delete(self, stream: str) -> None:
        self._manager.deleteStream(self._scope, stream)

    # -- what only Admin asks for

    def scale(self, stream: str, segments: list[int], ranges: list[float]) -> None:
        long, double = java("java.lang.Long"), java("java.lang.Double")
        old = java("java.util.Arrays").asList(*map(long.valueOf, segments))
        new = java("java.util.HashMap")()
        for low, high in pairwise(ranges):
            new.put(double.valueOf(low), double.valueOf(high))
        controller, executor = self._client.controller, self._client.pool.getInternalExecutor()
        assert controller.scaleStream(self._named(stream), old, new, executor).getFuture().get(), "it is not scaled"

    def cut(self, stream: str, offsets: dict[str, int]) -> None:
        cut = java("java.util.HashMap")()
        for number, offset in offsets.items():
            segment = java(f"{_IMPL}.segment.impl.Segment")(self._scope, stream, int(number))
            cut.put(segment, java("java.lang.Long").valueOf(offset))
        cut = java(f"{_IMPL}.stream.impl.StreamCutImpl")(self._named(stream), cut)
        self._manager.truncateStream(self._scope, stream, cut)

    def current(self, stream: str) -> list[int]:
        ranges = self._client.controller.getCurrentSegments(self._scope, stream).get()
        return sorted(int(segment.getSegmentId()) for segment in ranges.getSegments())

    def append_bytes(self, stream: str, data: str) -> None:
        writer = self._bytes.createByteStreamWriter(stream)
        writer.write(java("java.nio.ByteBuffer").wrap(_array(data.encode())))
        writer.close()

    def _named(self, stream: str) -> Any:
        return java(f"{_IMPL}.stream.impl.StreamImpl")(self._scope, stream)


def _piece(log: Any, size: int) -> bytes:
    """What one read brings."""
    array = _array(size)
    count = log.read(array)
    return bytes(array[:count])


def _array(content: bytes | int) -> Any:
    """Java's array of these bytes, or of so many."""
    import jpype

    return jpype.JArray(jpype.JByte)(content)


if __name__ == "__main__":
    obey(lambda: Client(*sys.argv[1:]))
