"""What is kept of an event in the history, and how it is read back. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from streamcli.model.event import DecodedEvent
from streamcli.model.message import MAX_EVENT_BYTES, Message, Unreadable, decode, encode
from streamcli.storage.database import Damaged


def messages(rows: Iterable[tuple[int, bytes]], path: Path) -> list[Message]:
    """Read rows of (offset, event) back; raises Damaged for what was a message when it was stored."""
    read: list[Message] = []
    for offset, event in rows:
        content = decode(event, offset) if isinstance(event, bytes) else None
        if content is None or isinstance(content, Unreadable):
            raise Damaged(path, f"the message at {offset} can't be read")
        read.append(content)
    return read


def kept(event: DecodedEvent) -> bytes:
    """Return the bytes of a readable event that are kept: its own, unless it is so long that it is shown cut."""
    # Of what is shown cut, the cut text is all that is ever needed, with those unknown fields that fit beside it.
    if len(event.data) <= MAX_EVENT_BYTES or isinstance(event.content, Unreadable):
        return event.data
    return encode(event.content)
