"""By what an event is known again: a retry writes the same message at another offset. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from streamcli.model.message import Message, Unreadable

_MADE_UP_ID: Final = re.compile(r"o(\d+)-[0-9a-f]{16}")  # message.decode's for an event without an id
_NO_ORDER: Final = bytes(6)


def dedup_key(content: Message | Unreadable, again: int = 1) -> bytes:
    """Return 16 bytes that tell one message from all others, whatever the offset a retry gave it.

    They begin with 6 bytes that grow with time or offset, so that an index of them grows at its end; then 10 bytes of
    hash of sender and id. ``again`` tells apart equal events without ids at the same offset of several segments.
    """
    if isinstance(content, Unreadable):
        return _key(content.offset, f"{content.size} {again} {content.reason}")
    id = content.id
    # The length keeps apart what would be one text when joined.
    text = f"{len(id)} {id}{content.sender}"
    if id[:1] == "o" and (made_up := _MADE_UP_ID.fullmatch(id)):
        return _key(int(made_up[1]), text if again == 1 else f"{again} of {text}")
    try:
        order = bytes.fromhex(id[:12])
    except ValueError:
        order = b""
    return (order if len(order) == 6 else _NO_ORDER) + _hash(text)


class DedupKeys:
    """The identities of what one life of a read worker brings.

    On several segments the same bytes can stand at the same offset of two of them, and are two events. A life brings
    each once, so the n-th of this life is the n-th of any other.
    """

    def __init__(self, segments: int) -> None:
        self.in_order = segments == 1  # of the log
        self._same: Counter[bytes] = Counter()

    def of(self, contents: Iterable[Message | Unreadable]) -> list[bytes]:
        """The identities of the next events."""
        return list(map(dedup_key if self.in_order else self._next, contents))

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
