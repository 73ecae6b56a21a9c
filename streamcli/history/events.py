"""An event on its way into the history, by what it is known again, and what is kept of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from streamcli.history.files import Damaged
from streamcli.message import MAX_EVENT_BYTES, Message, Unreadable, decode, encode

_MADE_UP_ID: Final = re.compile(r"o(\d+)-[0-9a-f]{16}")  # message.decode's for an event without an id


class Event(NamedTuple):
    """One event of the log: where it stands (bytes), where it ends, its bytes, and what they mean."""

    offset: int
    end: int
    data: bytes
    content: Message | Unreadable


def digest(data: bytes) -> bytes:
    """Return 16 bytes by which an event is known again."""
    return blake2b(data, digest_size=16).digest()


def identity(content: Message | Unreadable, again: int = 1) -> bytes:
    """Return 16 bytes that tell one message from all others, whatever the offset a retry gave it.

    They begin with 6 bytes that grow with time or offset, so that an index of them grows at its end; then 10 bytes of
    hash of sender and id. ``again`` tells apart equal events without ids at the same offset of several segments.
    """
    if isinstance(content, Unreadable):
        return _key(content.offset, f"{content.size} {again} {content.reason}")
    # The length keeps apart what would be one text when joined.
    text = f"{len(content.id)} {content.id}{content.sender}"
    if made_up := _MADE_UP_ID.fullmatch(content.id):
        return _key(int(made_up[1]), text if again == 1 else f"{again} of {text}")
    try:
        return _key(int(content.id[:12], 16), text)
    except ValueError:
        return _key(0, text)


def _key(order: int, text: str) -> bytes:
    hashed = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).digest()
    return (order & 0xFFFFFFFFFFFF).to_bytes(6, "big") + hashed


def messages(rows: Iterable[tuple[int, bytes]], path: Path) -> list[Message]:
    """Read rows of (offset, event) back; raises Damaged for what was a message when it was stored."""
    read: list[Message] = []
    for offset, event in rows:
        content = decode(event, offset) if isinstance(event, bytes) else None
        if content is None or isinstance(content, Unreadable):
            raise Damaged(path, f"the message at {offset} can't be read")
        read.append(content)
    return read


def kept(event: Event) -> bytes:
    """Return the bytes of a readable event that are kept: its own, unless it is so long that it is shown cut."""
    # Of what is shown cut, the cut text is all that is ever needed.
    if len(event.data) <= MAX_EVENT_BYTES or isinstance(event.content, Unreadable):
        return event.data
    return encode(event.content)
