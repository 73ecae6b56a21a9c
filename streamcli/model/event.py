"""An event of the log on its way to the history and the screen. Pure."""

from __future__ import annotations

from typing import NamedTuple

from streamcli.model.message import Message, Unreadable


class DecodedEvent(NamedTuple):
    """One event of the log: its offset and the offset just past it (bytes), its data, and what they mean."""

    offset: int
    end: int
    data: bytes
    content: Message | Unreadable


class Arrived(NamedTuple):
    """What an event means, and whether it is new to this terminal.

    It is not ``fresh`` when it is a duplicate, or when the history on disk held it already at the start.
    """

    content: Message | Unreadable
    fresh: bool = True


class Entry(NamedTuple):
    """A message of ours that waits in the outbox, or that failed for good when there is a ``reason`` (a sentence).

    ``event`` are its bytes as they were typed, and are what is sent: another version may have written more into them.
    """

    message: Message
    reason: str | None = None
    event: bytes = b""

    def text(self, width: int = 60) -> str:
        """The message in at most ``width`` characters, to name it by. Not yet fit for a terminal: it is a person's."""
        text = " ".join(self.message.message.split())
        return text if len(text) <= width else text[: width - 1] + "…"
