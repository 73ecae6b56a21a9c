"""Events of the log after decoding, and entries of the outbox. Pure."""

from __future__ import annotations

from typing import NamedTuple

from streamcli.model.message import Message, Unreadable


class DecodedEvent(NamedTuple):
    """One event of the log: its offset, the offset just past it (both in bytes), its data, and the decoded content."""

    offset: int
    end: int
    data: bytes
    content: Message | Unreadable


class Arrived(NamedTuple):
    """A decoded event, and whether it is new to this terminal.

    It is not ``fresh`` if it is a duplicate, or if the history already contained it at the start.
    """

    content: Message | Unreadable
    fresh: bool = True


class Entry(NamedTuple):
    """A message in the outbox: unsent, or failed permanently if there is a ``reason`` (a sentence).

    ``event`` is the encoded message, which is what is sent: another version may have added fields to it.
    """

    message: Message
    reason: str | None = None
    event: bytes = b""

    def text(self, width: int = 60) -> str:
        """The message's text, cut to ``width`` characters, to name it by. Not sanitised for a terminal."""
        text = " ".join(self.message.message.split())
        return text if len(text) <= width else text[: width - 1] + "…"
