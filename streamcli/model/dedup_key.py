"""Deduplication key of an event; a retry has the same key at another offset. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from itertools import repeat
from typing import Final

from streamcli.model.message import Message, Unreadable

_MADE_UP_ID: Final = re.compile(r"o(\d+)-[0-9a-f]{16}")  # message.decode makes these for events without an id
_NO_ORDER: Final = bytes(6)


def dedup_key(content: Message | Unreadable, again: int = 1) -> bytes:
    """Return the 16-byte key of a message, which does not depend on the offset if the message has an id.

    6 bytes that grow with time or offset, so that an index is appended to at its end; then a 10-byte hash of sender and
    id. ``again``, which is the segment's number and 1, distinguishes equal events without ids at the same offset of
    different segments.
    """
    if isinstance(content, Unreadable):
        return _key(content.offset, f"{content.size} {again} {content.reason}")
    id = content.id
    # The length prevents collisions between different pairs of id and sender.
    text = f"{len(id)} {id}{content.sender}"
    if id[:1] == "o" and (made_up := _MADE_UP_ID.fullmatch(id)):
        return _key(int(made_up[1]), text if again == 1 else f"{again} of {text}")
    try:
        order = bytes.fromhex(id[:12])
    except ValueError:
        order = b""
    return (order if len(order) == 6 else _NO_ORDER) + _hash(text)


class DedupKeys:
    """Computes the keys of the events that one connection delivers.

    Two segments can have equal bytes at the same offset: two events. Where the segment is not known they are counted: a
    connection delivers each once, so counting gives the same keys in every connection.
    """

    def __init__(self) -> None:
        self._same: Counter[bytes] = Counter()

    def of(self, contents: Iterable[Message | Unreadable], segment: int | None) -> list[bytes]:
        """Return the keys of the next events, which are in the segment with this number; None if it is not known."""
        if segment is None:
            return list(map(self._next, contents))
        return list(map(dedup_key, contents, repeat(segment + 1)) if segment else map(dedup_key, contents))

    def _next(self, content: Message | Unreadable) -> bytes:
        key = dedup_key(content)
        if not isinstance(content, Unreadable) and not _MADE_UP_ID.fullmatch(content.id):
            return key
        self._same[key] += 1
        return dedup_key(content, self._same[key])


def _key(order: int, text: str) -> bytes:
    return (order & 0xFFFFFFFFFFFF).to_bytes(6, "big") + _hash(text)


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).digest()
