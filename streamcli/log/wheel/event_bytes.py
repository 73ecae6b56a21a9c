"""Reads events as raw bytes of a one-segment stream, from any position, without a reader group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streamcli.log.raw_events import NoEvents, cut

_PIECE = 512 * 1024


class EventBytes:
    """The events in a byte stream of the client library. No call may run beside a live group reader."""

    def __init__(self, byte_stream: Any) -> None:
        self._stream = byte_stream

    def head(self) -> int:
        """Return the offset of the oldest byte that still exists."""
        return int(self._stream.current_head_offset())

    def tail(self) -> int:
        """Return the offset just past the newest byte."""
        return int(self._stream.current_tail_offset())

    def events(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield all ``(offset, data)`` in ``[start, end)``; both must be the beginning of an event or the tail.

        Raises NoEvents on an invalid size, rather than wait for the bytes that it announces or leave them out.
        """
        rest, position = bytearray(), start  # ``rest`` ends at ``position``
        self._stream.seek(start, 0)
        buffer = bytearray(_PIECE)
        while position < end:
            got = self._stream.readinto(buffer)
            if got <= 0:
                raise EOFError(f"the log ends at {position}, {end - position} bytes too early")
            rest += memoryview(buffer)[:got]
            position += got
            for offset, data in cut(rest, position - len(rest)):
                if offset >= end:
                    return
                yield offset, data
        if rest and position - len(rest) < end:
            raise NoEvents(f"the stream's last event, at byte {position - len(rest)}, is not whole")

    def follow(self, start: int) -> Iterator[list[tuple[int, bytes]]]:
        """Yield events from ``start`` on, forever; at the tail it waits, inside the library, for the next ones.

        Raises OSError when the server was away meanwhile.
        """
        rest, position = bytearray(), start
        self._stream.seek(start, 0)
        buffer = bytearray(_PIECE)
        while True:
            got = self._stream.readinto(buffer)
            if got <= 0:
                raise EOFError(f"the log ends at {position}")
            rest += memoryview(buffer)[:got]
            position += got
            yield list(cut(rest, position - len(rest)))
