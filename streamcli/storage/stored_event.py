"""Converts events to the bytes kept in the history, and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from streamcli.model.event import DecodedEvent
from streamcli.model.message import MAX_EVENT_BYTES, Message, Unreadable, decode, encode
from streamcli.storage.database import Damaged


def messages(rows: Iterable[tuple[int, bytes]], path: Path) -> list[Message]:
    """Decode rows of (offset, event). Raises Damaged for a row that is not a message: it was one when stored."""
    read: list[Message] = []
    for offset, event in rows:
        content = decode(event, offset) if isinstance(event, bytes) else None
        if content is None or isinstance(content, Unreadable):
            raise Damaged(path, f"the message at {offset} can't be read")
        read.append(content)
    return read


def kept(event: DecodedEvent) -> bytes:
    """Return the bytes to store for a readable event: its own, unless it is so long that it is shown cut."""
    # An event shown cut needs only the cut text, with those unknown fields that fit beside it.
    if len(event.data) <= MAX_EVENT_BYTES or isinstance(event.content, Unreadable):
        return event.data
    return encode(event.content)
