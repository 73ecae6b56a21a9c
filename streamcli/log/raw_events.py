"""Events as they lie in a segment's bytes: each is 4 zero bytes, its length (4 bytes, big-endian) and its data. Pure.

An event's offset is that of the first of these bytes, as the client libraries also report it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEAD_BYTES = 8
MAX_EVENT = 32 << 20  # the server accepts 8 MiB; a larger size means that the bytes are not events
_HEAD = struct.Struct(">II")


class NoEvents(ValueError):
    """The stream holds bytes that are not events: it was written in another way."""


def cut(rest: bytearray, first: int) -> Iterator[tuple[int, bytes]]:
    """Yield the complete events at the front of ``rest``, which begins at offset ``first``, and remove them.

    Raises NoEvents on an invalid size, rather than wait for the bytes that it announces or leave them out.
    """
    end_of_last = 0
    try:
        while len(rest) - end_of_last >= HEAD_BYTES:
            zero, size = _HEAD.unpack_from(rest, end_of_last)
            if zero or size > MAX_EVENT:
                raise NoEvents(f"the stream holds no event at byte {first + end_of_last}")
            end = end_of_last + HEAD_BYTES + size
            if len(rest) < end:
                break
            yield first + end_of_last, bytes(rest[end_of_last + HEAD_BYTES : end])
            end_of_last = end
    finally:
        del rest[:end_of_last]
