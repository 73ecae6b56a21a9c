"""The protocol between the prompt's process and its workers: small binary frames over pipes.

A frame is a length (4 bytes, of what follows), a type (1 byte), the number of the stream that it concerns (2 bytes) and
a payload. All integers are big-endian and unsigned. Comments below give each type's direction. Today a worker serves
one stream, number 0.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

_HEAD = struct.Struct(">IBH")
_LENGTH = 4  # bytes of the head that the length does not count
_SEGMENT = struct.Struct(">Q")
_EVENT = struct.Struct(">QI")
_KEY = struct.Struct(">H")
MAX_FRAME = 64 << 20


class Frame(IntEnum):
    """The type byte of a frame."""

    START = 1  # to a worker, once: JSON, the request
    OPENED = 2  # from a worker, once: JSON, the stream is open
    EVENTS = 3  # from the read worker: events of one segment with their offsets; answered by one TAKEN
    TAKEN = 4  # to the read worker: the last EVENTS frame was drawn
    CAUGHT_UP = 5  # from the read worker, once: what follows is live
    IDLE = 6  # from the read worker: heartbeat while nothing arrives, about once a second
    STUCK = 7  # from the read worker: JSON, an event that the reader group can't pass
    WRITE = 8  # to the write worker: one event with its routing key
    WRITTEN = 9  # from the write worker: how many more events the server has acknowledged
    FAILED = 10  # from a worker, last: JSON, the reason for its end
    DONE = 11  # from the clean worker, once: everything requested is deleted
    # Between a guest and a gate, beside those above (OPENED to TAKEN, WRITE and WRITTEN, IDLE, FAILED):
    WELCOME = 12  # from the gate, first: JSON, who the guest is, and where the gate can be reached
    STATUS = 13  # from the gate: JSON, how its own connection to the log is
    WRITABLE = 14  # from the gate: JSON, it writes, for the n-th time: what it has not acknowledged is to be sent again
    WRITING = 15  # to the gate: what follows is sent after the n-th WRITABLE
    REJECTED = 16  # from the gate: JSON, why it does not write the oldest event that it has not acknowledged


class Received(NamedTuple):
    """One complete frame."""

    kind: Frame
    payload: bytes
    stream: int = 0

    def fields(self) -> dict[str, Any]:
        """Return the object in a JSON frame."""
        return unpack_json(self.payload)


def pack(kind: Frame, payload: bytes = b"", stream: int = 0) -> bytes:
    """Return one frame."""
    return _HEAD.pack(_HEAD.size - _LENGTH + len(payload), kind, stream) + payload


def pack_json(frame: Frame, /, **fields: Any) -> bytes:
    """Return one frame whose payload is a JSON object."""
    return pack(frame, json.dumps(fields).encode())


def unpack_json(payload: bytes) -> dict[str, Any]:
    """Return the object in a JSON frame."""
    fields: dict[str, Any] = json.loads(payload)
    return fields


def pack_events(events: Iterable[tuple[int, bytes]], segment: int = 0) -> bytes:
    """Return an EVENTS frame of ``(offset, data)`` pairs; 0 is the segment's number where it is not known."""
    parts = [_SEGMENT.pack(segment)]
    for offset, data in events:
        parts += (_EVENT.pack(offset, len(data)), data)
    return pack(Frame.EVENTS, b"".join(parts))


def unpack_events(payload: bytes) -> tuple[int, list[tuple[int, bytes]]]:
    """Return the segment's number and the ``(offset, data)`` pairs of an EVENTS frame, in the segment's order."""
    events, at, unpack, head = [], _SEGMENT.size, _EVENT.unpack_from, _EVENT.size
    (segment,) = _SEGMENT.unpack_from(payload)
    while at < len(payload):
        offset, size = unpack(payload, at)
        at += head
        events.append((offset, payload[at : at + size]))
        at += size
    return segment, events


def split_events(frame: bytes) -> list[tuple[int, bytes]]:
    """Return the ``(offset, data)`` pairs of a whole EVENTS frame."""
    return unpack_events(frame[_HEAD.size :])[1]


def join_events(frames: Sequence[bytes]) -> bytes:
    """Return one EVENTS frame with the events of several, all of one segment; b"" for none."""
    if len(frames) < 2:
        return b"".join(frames)
    head = _HEAD.size + _SEGMENT.size
    return pack(Frame.EVENTS, frames[0][_HEAD.size : head] + b"".join(frame[head:] for frame in frames))


def pack_writes(routing_key: str, datas: Iterable[bytes]) -> bytes:
    """Return a WRITE frame for each event."""
    key = routing_key.encode()
    key = _KEY.pack(len(key)) + key
    size = _HEAD.size - _LENGTH + len(key)
    parts: list[bytes] = []
    for data in datas:
        parts += (_HEAD.pack(size + len(data), Frame.WRITE, 0), key, data)
    return b"".join(parts)


def unpack_write(payload: bytes) -> tuple[str, bytes]:
    """Return the routing key and the event of a WRITE frame."""
    (size,) = _KEY.unpack_from(payload)
    return payload[_KEY.size : _KEY.size + size].decode(), payload[_KEY.size + size :]


def pack_count(kind: Frame, count: int) -> bytes:
    """Return a frame whose payload is one count."""
    return pack(kind, count.to_bytes(4, "big"))


def unpack_count(payload: bytes) -> int:
    """Return the count in such a frame."""
    return int.from_bytes(payload, "big")


class Splitter:
    """Splits a byte stream that arrives in pieces into frames."""

    def __init__(self, longest: int = MAX_FRAME) -> None:
        """No frame may have more than ``longest`` bytes after its length."""
        self._rest = bytearray()
        self._longest = longest

    def feed(self, piece: bytes) -> list[Received]:
        """Add the next piece and return the frames that are now complete."""
        self._rest += piece
        frames, at = [], 0
        while len(self._rest) - at >= _HEAD.size:
            size, kind, stream = _HEAD.unpack_from(self._rest, at)
            if not _HEAD.size - _LENGTH <= size <= self._longest:
                raise ValueError(f"a frame of {size} bytes")
            end = at + _LENGTH + size
            if len(self._rest) < end:
                break
            frames.append(Received(Frame(kind), bytes(self._rest[at + _HEAD.size : end]), stream))
            at = end
        del self._rest[:at]
        return frames


def read_frames(read: Callable[[int], bytes]) -> Iterator[Received]:
    """Yield frames from a blocking ``read(n)`` until it returns nothing."""
    splitter = Splitter()
    while piece := read(1 << 20):
        yield from splitter.feed(piece)
