"""What a guest's frames say. Pure. They may come from any program: whatever is not as it should be is refused."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

from streamcli.log.frames import Frame, Received, Splitter, unpack_count, unpack_json, unpack_write
from streamcli.log.gate.tls import VERSION
from streamcli.model.cursor import Cursor
from streamcli.model.segment import is_offset, is_segment_name

LONGEST_FRAME: Final = 66 * 1024  # bytes that a guest may send at once
_COUNT_BYTES = 4


class Misbehaves(Exception):
    """The guest's program does not speak the gate's protocol."""


@dataclass(frozen=True)
class Start:
    """What a guest wants: to read from a cursor on, or not at all, and to append."""

    read: Cursor | None
    write: bool


class GuestFrames:
    """Splits what a guest sends into frames."""

    def __init__(self) -> None:
        self._splitter = Splitter(LONGEST_FRAME)

    def feed(self, piece: bytes) -> list[Received]:
        """Add the next piece and return the frames that are now complete. Raises Misbehaves."""
        try:
            return self._splitter.feed(piece)
        except ValueError as error:
            raise Misbehaves(str(error)) from None


def start_of(frame: Received) -> Start:
    """Return what a START frame of this version says. Raises Misbehaves."""
    try:
        fields: Any = unpack_json(frame.payload)
        known = frame.kind is Frame.START and isinstance(fields, dict) and fields["version"] == VERSION
        if known and isinstance(fields["write"], bool):
            return Start(_cursor_of(fields["read"]) if fields["read"] is not None else None, fields["write"])
    except (ValueError, KeyError, RecursionError):
        pass
    raise Misbehaves("no START of this version")


def write_of(payload: bytes) -> tuple[str, bytes]:
    """Return the routing key and the event of a WRITE frame. Raises Misbehaves."""
    try:
        return unpack_write(payload)
    except (ValueError, struct.error):
        raise Misbehaves("a frame that holds no event") from None


def life_of(payload: bytes) -> int:
    """Return which WRITABLE a WRITING frame answers. Raises Misbehaves."""
    if len(payload) != _COUNT_BYTES:
        raise Misbehaves("a frame that holds no number")
    return unpack_count(payload)


def _cursor_of(fields: Any) -> Cursor:
    try:
        log, offsets, last = fields["log"], fields["offsets"], fields["last"]
        whole = isinstance(log, str) and isinstance(offsets, dict) and all(map(is_offset, offsets.values()))
        if last is not None:
            segment, offset, fingerprint = last
            whole = whole and isinstance(segment, str) and is_offset(offset) and isinstance(fingerprint, str)
            last = (segment, offset, bytes.fromhex(fingerprint)) if whole else None
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise Misbehaves("no cursor")
    if not all(map(is_segment_name, (*offsets, *(last or ())[:1]))):
        return Cursor()  # no log has such a segment: its head is where to begin
    return Cursor(log, offsets, last)
