"""Events of a frame, with the offsets at which they end."""

from __future__ import annotations

from streamcli.log.api import Event
from streamcli.log.frames import unpack_events
from streamcli.log.raw_events import HEAD_BYTES


def located_events(payload: bytes) -> tuple[int, list[Event]]:
    """Return the segment's number and the events of an EVENTS frame."""
    segment, pairs = unpack_events(payload)
    offsets, datas = zip(*pairs, strict=True)
    ends = [offset + HEAD_BYTES + len(data) for offset, data in zip(offsets, datas, strict=True)]
    return segment, list(map(Event, offsets, ends, datas))
