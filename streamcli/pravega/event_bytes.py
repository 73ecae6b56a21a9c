"""Events read as the raw bytes of a one-segment stream, from any position, without a reader group.

In a segment each event is 4 zero bytes, its length (4 bytes, big-endian) and its data; the offset of the first of these
bytes is the event's offset, which is also what a group's reader reports.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

_HEAD = struct.Struct(">II")
_PIECE = 512 * 1024


class EventBytes:
    """A byte stream of the client library, seen as events. No call of it may run beside a live group reader."""

    def __init__(self, byte_stream: Any) -> None:
        self._stream = byte_stream

    def head(self) -> int:
        """Offset of the oldest byte that is still there."""
        return int(self._stream.current_head_offset())

    def tail(self) -> int:
        """Offset just past the newest byte."""
        return int(self._stream.current_tail_offset())

    def events(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """All ``(offset, data)`` in ``[start, end)``; both must be the beginning of an event or the tail."""
        rest, at, position = b"", start, start
        self._stream.seek(start, 0)
        buffer = bytearray(_PIECE)
        while position < end:
            got = self._stream.readinto(buffer)
            if got <= 0:
                raise EOFError(f"the log ends at {position}, {end - position} bytes too early")
            position += got
            rest += bytes(buffer[:got])
            cut = 0
            while len(rest) - cut >= _HEAD.size:
                _, size = _HEAD.unpack_from(rest, cut)
                if len(rest) - cut < _HEAD.size + size:
                    break
                offset = at + cut
                if offset >= end:
                    return
                yield offset, rest[cut + _HEAD.size : cut + _HEAD.size + size]
                cut += _HEAD.size + size
            rest, at = rest[cut:], at + cut
