"""The reading lane: delivers the events of all segments, oldest first in each, a successor's after what it follows.

It reads raw bytes, without a reader group, so that it leaves nothing on the server, knows every offset, and passes over
events of no bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from streamcli.log.frames import Frame, pack, pack_json
from streamcli.log.hand_over import Parent
from streamcli.log.java.client import Gone, Manager, calm, is_a, java
from streamcli.log.java.lane import STEP, Lane
from streamcli.log.java.opening import Opening, opening
from streamcli.log.java.requests import ReadRequest
from streamcli.log.java.stream import JavaStream, extent
from streamcli.log.raw_events import NoEvents, cut
from streamcli.model.segment import segment_name

BEAT = 1.0  # seconds between heartbeats while nothing arrives
_PIECE = 256 * 1024  # bytes; the client holds a piece in Java's heap


def read(request: ReadRequest, manager: Manager, lane: Lane) -> None:
    """Read until the lane ends."""
    stream = JavaStream(manager, lane, request.scope, request.stream)
    try:
        stream.ask(0)  # so that a connection to a segment store is made while the controller is asked
        log = stream.open(request.make)
        found = opening(stream, log, request)
        starts = {segment_name(log, number): at for number, at in found.starts.items()}
        tails = {segment_name(log, number): at for number, at in found.tails.items()}
        lane.send(pack_json(Frame.OPENED, log=log, segments=found.segments, starts=starts, tails=tails))
        follower = Follower(stream, lane, found)
        try:
            follower.follow()
        finally:
            follower.close()
    finally:
        stream.close()


@dataclass
class _Reading:
    """One segment that is read: up to ``position``, of which ``rest`` is the beginning of the next event."""

    number: int
    position: int
    bytes: Any
    future: Any
    rest: bytearray = field(default_factory=bytearray)
    behind_at: int = -1  # the position at the last heartbeat, if the server had more then
    ended: bool = False  # whether all of the segment was read

    @property
    def taken(self) -> int:
        """The offset below which all events were delivered."""
        return self.position - len(self.rest)


class Follower:
    """Reads segments side by side, and each one's successors when all that they follow has been read."""

    def __init__(
        self, stream: JavaStream, lane: Lane, found: Opening, now: Callable[[], float] = time.monotonic
    ) -> None:
        import jpype

        self._stream, self._lane, self._now = stream, lane, now
        self._parent = Parent(lane.send, lane.receive)
        self._done, self._waiting = set(found.done), dict(found.waiting)
        self._behind = {number: at for number, at in found.tails.items() if at > found.starts.get(number, 0)}
        self._live = False
        self._open: dict[int, _Reading] = {}
        self._buffer = bytearray(_PIECE)
        self._view = memoryview(self._buffer)
        self._direct = jpype.nio.convertToDirectBuffer(self._buffer)
        self._futures = java("java.util.concurrent.CompletableFuture")
        self._array = jpype.JArray(self._futures)
        self._milliseconds = java("java.util.concurrent.TimeUnit").MILLISECONDS
        self._timeout = java("java.util.concurrent.TimeoutException")
        self._any: Any = None
        self._beat_at = self._now()
        self._asked: dict[int, Any] = {}
        for number, at in found.starts.items():
            if number not in self._done:
                self._begin(number, at)

    def follow(self) -> None:
        """Read until the lane ends, or raise what prevents it."""
        while True:
            self._lane.check()
            self._tell_if_caught_up()
            if not self._open:
                raise Gone("the stream is sealed: nothing can be added to it any more")
            ready = self._wait()
            for reading in ready:
                self._take(reading)
            if ready:
                self._beat_at, self._asked = self._now(), {}
            else:
                self._beat()

    def close(self) -> None:
        """Close all that is open."""
        for reading in self._open.values():
            reading.bytes.close()

    def _begin(self, number: int, at: int) -> None:
        reader = self._stream.bytes_of(number)
        self._open[number] = _Reading(number, at, reader, reader.read(at, _PIECE))
        self._any = None

    def _wait(self) -> list[_Reading]:
        """Return the readings whose next bytes are here; none if that takes too long."""
        if not (ready := self._ready()):
            if self._any is None or self._any.isDone():
                waits = [reading.future for reading in self._open.values()]
                self._any = waits[0] if len(waits) == 1 else self._futures.anyOf(self._array(waits))
            try:
                self._any.get(int(self._until_beat() * 1000), self._milliseconds)
            except self._timeout:
                return []
            except Exception:
                pass  # raised again by the reading that it belongs to
            ready = self._ready()
        return ready

    def _until_beat(self) -> float:
        """Return how long to wait for events. The host closes a lane that is to end without waiting for this."""
        return STEP if self._asked else max(STEP, self._beat_at + BEAT - self._now())

    def _ready(self) -> list[_Reading]:
        return [reading for reading in self._open.values() if reading.future.isDone()]

    def _take(self, reading: _Reading) -> None:
        self._parent.segment = reading.number
        try:
            self._parent.hand_over(self._events(reading), drawn=False)
        except Exception as error:
            if not is_a(error, "SegmentTruncatedException"):
                raise
            self._truncated(reading)
            return
        self._any = None
        if reading.ended:
            if reading.rest:
                raise NoEvents(f"the last event of segment {reading.number}, at byte {reading.taken}, is not whole")
            self._ended(reading)
        elif self._behind.get(reading.number, reading.taken + 1) <= reading.taken:
            del self._behind[reading.number]

    def _events(self, reading: _Reading) -> Iterator[tuple[int, bytes]]:
        """Yield the events that are here; while the past is read also those that come next, so that frames are full."""
        while True:
            self._add(reading)
            yield from cut(reading.rest, reading.taken)
            if reading.ended or reading.position >= self._behind.get(reading.number, 0):
                return
            try:
                reading.future.get(int(STEP * 1000), self._milliseconds)
            except Exception:
                return  # it takes too long, or raises this again the next time

    def _add(self, reading: _Reading) -> None:
        """Add the bytes that are here to ``rest``, and ask for the next ones."""
        got = reading.future.get()
        reading.ended, data = bool(got.isEndOfSegment()), got.getData()
        if count := int(data.readableBytes()):
            self._direct.clear().limit(count)
            data.readBytes(self._direct)
            reading.rest += self._view[:count]
            reading.position += count
        got.release()
        if not reading.ended:
            reading.future = reading.bytes.read(reading.position, _PIECE)

    def _truncated(self, reading: _Reading) -> None:
        """Go on at the new head of a segment, or behind it if all of it was cut off."""
        found = self._stream.look(reading.number)
        if found is None:
            self._ended(reading)
            return
        if found.head <= reading.position:
            raise LookupError(f"segment {reading.number} can't be read at byte {reading.position}")
        self._again(reading, found.head)

    def _again(self, reading: _Reading, at: int) -> None:
        reading.bytes.close()
        self._begin(reading.number, at)
        if self._behind.get(reading.number, at + 1) <= at:
            del self._behind[reading.number]

    def _ended(self, reading: _Reading) -> None:
        """Begin to read the successors of a segment, as far as they wait for no other."""
        number = reading.number
        following = self._stream.successors(number)
        self._open.pop(number).bytes.close()
        self._stream.forget(number)
        self._any = None
        self._done.add(number)
        self._behind.pop(number, None)
        self._waiting |= {after: before for after, before in following.items() if after not in self._open}
        self._begin_what_waits()

    def _begin_what_waits(self) -> None:
        for after, before in list(self._waiting.items()):
            if all(one in self._done or self._is_gone(one) for one in before):
                del self._waiting[after]
                self._begin(after, 0)

    def _is_gone(self, number: int) -> bool:
        if number in self._open or self._stream.look(number):
            return False
        self._done.add(number)
        return True

    def _tell_if_caught_up(self) -> None:
        if not self._live and not self._behind:
            self._live = True
            self._lane.send(pack(Frame.CAUGHT_UP))

    def _beat(self) -> None:
        """Ask the server about each segment; what it answers is the heartbeat.

        The client may wait for half a minute before it connects again to a server that was away. A segment that has
        grown at the server, of which nothing arrives, is therefore opened anew.
        """
        if self._now() - self._beat_at < BEAT:
            return
        calm(self._stream.manager.pool)
        if not self._asked:
            self._asked = {number: self._stream.ask(number) for number in self._open}
        if not all(future.isDone() for future in self._asked.values()):
            return
        asked, self._asked = self._asked, {}
        for number, future in asked.items():
            try:
                found = extent(future.get())
            except Exception as error:
                if not is_a(error, "NoSuchSegmentException"):
                    raise
                self._ended(self._open[number])
                continue
            self._compare(self._open[number], found.tail)
        self._begin_what_waits()
        self._beat_at = self._now()
        self._lane.send(pack(Frame.IDLE))

    def _compare(self, reading: _Reading, tail: int) -> None:
        if tail > reading.position and not reading.future.isDone():
            if reading.behind_at == reading.position:
                self._again(reading, reading.taken)
                return
            reading.behind_at = reading.position
