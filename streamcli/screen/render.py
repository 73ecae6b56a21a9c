"""How messages and the program's own words look: pure functions from values to lines, with or without colour.

Only this module knows our styles, and all text from outside goes through the sanitiser here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from hashlib import blake2b

from streamcli.message import DEFAULT_ROOM, NOBODY, Chat, Emote, Greet, Joke, Message
from streamcli.screen.sanitiser import clean_line, clean_text

RESET = "\x1b[0m"
DIM = "\x1b[2m"
BOLD = "\x1b[1m"
# Colours of the 256 that can be read on black and on white.
COLOURS = (33, 37, 64, 67, 70, 97, 99, 103, 130, 133, 136, 161, 166, 168, 172, 203)
INDENT = " " * 6
NO_TIME = "--:--"
MAX_PENDING = 8
PENDING_WIDTH = 200


@dataclass(frozen=True)
class Look:
    """How one terminal shows things: whose it is, where on earth, in which room, and whether in colour."""

    me: str
    colour: bool
    zone: tzinfo | None = None  # None is the system's
    room: str = DEFAULT_ROOM

    def note(self, text: str) -> str:
        """A quiet line of the program's own words."""
        return "\n".join(self._styled(DIM, f"-- {line}") for line in clean_text(text))

    def prompt(self) -> str:
        """What stands before the line being typed."""
        return f"{clean_line(self.me)}> "

    def day(self, day: date) -> str:
        """The line between two days."""
        return self._styled(DIM, f"-- {day:%A}, {day.day} {day:%B %Y}")

    def since(self, message: Message, today: date) -> str:
        """When ``message`` was sent, as short as it is clear today; "" when it doesn't say."""
        if message.sent_at is None:
            return ""
        local = self._local(message.sent_at)
        return f"{local:%H:%M}" if local.date() == today else f"{local.day} {local:%B %H:%M}"

    def local_day(self, message: Message) -> date | None:
        """The local day on which ``message`` was sent, if it says when."""
        return self._local(message.sent_at).date() if message.sent_at else None

    def message(self, message: Message, off: timedelta | None = None) -> str:
        """A message as it enters the scrollback: one line or, if its text has several, more of them indented.

        ``off`` is by how much its time doesn't fit where it stands in the log (streamcli.clocks).
        """
        time = f"{self._local(message.sent_at):%H:%M}" if message.sent_at else NO_TIME
        room = "" if message.room == self.room else self._styled(DIM, f"[{_one_word(message.room)}] ")
        first, *more = clean_text(message.message)
        text = "\n".join([first, *(INDENT + line for line in more)])
        if self._mentioned(message):
            text = self._styled(BOLD, text)
        if message.typed_at:
            text += self._styled(DIM, f" (typed {self._local(message.typed_at):%H:%M})")
        if off:
            text += self._styled(DIM, f" (time {_span(off)} {'early' if off < timedelta() else 'late'})")
        return f"{self._styled(DIM, time)} {room}{self._said(message, text)}"

    def pending(self, messages: Sequence[Message]) -> Iterator[str]:
        """The lines that stand above the prompt until they are read back, the oldest few of them."""
        for message in messages[:MAX_PENDING]:
            text = clean_line(message.message, PENDING_WIDTH)
            yield self._styled(DIM, f"  ... {text}")
        if len(messages) > MAX_PENDING:
            yield self._styled(DIM, f"  ... and {len(messages) - MAX_PENDING} more")

    def unreadable(self, reasons: Counter[str]) -> str:
        """One quiet line for all events that could not be read."""
        count = sum(reasons.values())
        kinds = ", ".join(f"{reason}: {number}" if len(reasons) > 1 else reason for reason, number in reasons.items())
        return self.note(f"{count:,} event{'s' if count > 1 else ''} could not be read ({kinds})")

    def _said(self, message: Message, text: str) -> str:
        name = self._name(message.sender)
        if isinstance(message, Greet):
            return f"{name} says hi!"
        if isinstance(message, Emote):
            return f"* {name} {text}"
        if isinstance(message, Joke):
            return f"{name} jokes: {text}"
        if isinstance(message, Chat):
            return f"{name}: {text}"
        kind = self._styled(DIM, f"[{clean_line(message.kind)}, from a newer version]")
        return f"{name} {kind}: {text}"

    def _name(self, sender: str) -> str:
        colour = COLOURS[blake2b(sender.encode("utf-8", "replace"), digest_size=2).digest()[0] % len(COLOURS)]
        return self._styled(f"\x1b[38;5;{colour}m", _visible(sender))

    def _mentioned(self, message: Message) -> bool:
        if message.sender == self.me or self.me.casefold() not in message.message.casefold():
            return False
        return re.search(rf"(?<!\w){re.escape(self.me)}(?!\w)", message.message, re.IGNORECASE) is not None

    def _local(self, time: datetime) -> datetime:
        try:
            return time.astimezone(self.zone)
        except ValueError:  # a TZ that is a day or more off (config.zone_trouble)
            return time.astimezone(timezone.utc)

    def _styled(self, style: str, text: str) -> str:
        return f"{style}{text}{RESET}" if self.colour else text


def _span(off: timedelta) -> str:
    minutes = round(abs(off).total_seconds() / 60)
    for size, unit in ((1440, "d"), (60, "h")):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit}"
    return f"{minutes} min"


def _one_word(room: str) -> str:
    """A room from elsewhere may be called "ops] alex: yes [", and must not pass for what somebody said."""
    return re.sub(r"[\s\[\]]", "_", _visible(room))


def _visible(name: str) -> str:
    # Cleaned, a name of joiners only is nothing at all.
    return clean_line(name) or NOBODY
