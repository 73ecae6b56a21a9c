"""Renders messages and notices as terminal lines, with or without colour. Pure.

Only this module knows the styles, and it passes all text from outside through the sanitiser.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from hashlib import blake2b

from streamcli.model.message import DEFAULT_ROOM, NOBODY, Chat, Emote, Greet, Joke, Message
from streamcli.ui.sanitiser import clean_line, clean_text

RESET = "\x1b[0m"
DIM = "\x1b[2m"
BOLD = "\x1b[1m"
# Those of the 256 colours that are readable on black and on white.
COLOURS = (33, 37, 64, 67, 70, 97, 99, 103, 130, 133, 136, 161, 166, 168, 172, 203)
INDENT = " " * 6
NO_TIME = "--:--"
TYPED_LONG_AGO = timedelta(seconds=5)  # delay between typing and sending from which both times are shown
MAX_PENDING = 8
MAX_ROWS = 20  # of one text, on a terminal as wide as COLUMNS
COLUMNS = 80
PENDING_WIDTH = 200


@dataclass(frozen=True)
class MessageStyle:
    """The rendering options of one terminal: its user, colour, time zone and room."""

    me: str
    colour: bool
    zone: tzinfo | None = None  # None: the system's
    room: str = DEFAULT_ROOM
    whole: str = ""  # hint where to read a long text in full; if set, texts are cut to MAX_ROWS

    def note(self, text: str) -> str:
        """A notice of the program, dimmed."""
        lines, more = self._cut(text)
        return "\n".join(self._styled(DIM, f"-- {line}") for line in ([*lines, more] if more else lines))

    def prompt(self) -> str:
        """The prompt's text, before the input line."""
        return f"{clean_line(self.me)}> "

    def day(self, day: date) -> str:
        """The separator before the first message of a day."""
        return self._styled(DIM, f"-- {self.day_name(day)}")

    def day_name(self, day: date) -> str:
        """A day as text: "Sunday, 22 November 2026"."""
        return f"{day:%A}, {day.day} {day:%B %Y}"

    def since(self, message: Message, today: date) -> str:
        """When ``message`` was sent: the time, with the date unless it is ``today``; "" if unknown."""
        if message.sent_at is None:
            return ""
        return self._when(message.sent_at, today)

    def local_day(self, message: Message) -> date | None:
        """The local date on which ``message`` was sent, or None."""
        return self._local(message.sent_at).date() if message.sent_at else None

    def message(self, message: Message, off: timedelta | None = None) -> str:
        """A message for the scrollback: one line, or several with all but the first indented.

        ``off`` is the error of its time as found by streamcli.model.clock_skew.
        """
        time = f"{self._local(message.sent_at):%H:%M}" if message.sent_at else NO_TIME
        room = "" if message.room == self.room else self._styled(DIM, f"[{_one_word(message.room)}] ")
        lines, more = self._cut(message.message)
        text = f"\n{INDENT}".join(lines)
        if self._mentioned(message):
            text = self._styled(BOLD, text)
        if message.typed_at and (not message.sent_at or message.sent_at - message.typed_at > TYPED_LONG_AGO):
            text += self._styled(DIM, f" (typed {self._when(message.typed_at, self.local_day(message))})")
        if off:
            text += self._styled(DIM, f" (time {_span(off)} {'early' if off < timedelta() else 'late'})")
        if more:
            text += f"\n{INDENT}" + self._styled(DIM, f"{more} ({self.whole})")
        return f"{self._styled(DIM, time)} {room}{self._said(message, text)}"

    def pending(self, messages: Sequence[Message]) -> Iterator[str]:
        """Yield lines for the oldest MAX_PENDING pending messages, to show above the prompt."""
        for message in messages[:MAX_PENDING]:
            text = clean_line(message.message, PENDING_WIDTH)
            yield self._styled(DIM, f"  ... {text}")
        if len(messages) > MAX_PENDING:
            yield self._styled(DIM, f"  ... and {len(messages) - MAX_PENDING} more")

    def unreadable(self, reasons: Counter[str]) -> str:
        """One notice for all events that could not be read; ``reasons`` counts them by reason."""
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
        if message.sender == self.me:
            return False
        text, me = (unicodedata.normalize("NFC", text) for text in (message.message, self.me))
        found = re.finditer(rf"(?<!\w){re.escape(me)}(?!\w)", text, re.IGNORECASE)
        return any(not (_is_accent(text, at.start() - 1) or _is_accent(text, at.end())) for at in found)

    def _cut(self, text: str) -> tuple[list[str], str]:
        """Return the lines of ``text`` to show, and a text saying how much was cut ("" if nothing)."""
        lines = clean_text(text)
        # Quick upper bound: a character takes at most two cells, and each line at most one partly filled row.
        if not self.whole or len(lines) + 2 * sum(map(len, lines)) // COLUMNS <= MAX_ROWS:
            return lines, ""
        kept: list[str] = []
        left = MAX_ROWS
        for line in lines:
            cells = _cells(line)
            rows = max(1, -(-cells // COLUMNS))
            if rows > left:
                break
            kept.append(line)
            left -= rows
        else:
            return lines, ""
        hidden = len(lines) - len(kept)
        if left:  # add the beginning of the first line that does not fit
            kept.append(clean_line(line, len(line) * left * COLUMNS // cells))
            hidden -= 1
        if not hidden:
            return kept, f"… {len(line) - len(kept[-1]) + 1:,} more characters"
        return kept, f"… {hidden:,} more line{'s' if hidden > 1 else ''}"

    def _when(self, time: datetime, today: date | None) -> str:
        local = self._local(time)
        return f"{local:%H:%M}" if local.date() == today else f"{local.day} {local:%B %H:%M}"

    def _local(self, time: datetime) -> datetime:
        try:
            return time.astimezone(self.zone)
        except ValueError:  # TZ has an offset of a day or more (config.zone_trouble)
            return time.astimezone(timezone.utc)

    def _styled(self, style: str, text: str) -> str:
        return f"{style}{text}{RESET}" if self.colour else text


def _cells(line: str) -> int:
    """An upper bound of the terminal cells that a line takes."""
    if line.isascii():
        return len(line)
    return len(line) + sum(unicodedata.east_asian_width(char) in "WF" for char in line)


def _is_accent(text: str, at: int) -> bool:
    """Whether there is a combining mark at ``at``. It is part of the letter before, but re's \\w does not match it."""
    # Variation selectors only choose a glyph of the same character.
    return 0 <= at < len(text) and unicodedata.category(text[at])[0] == "M" and not "\ufe00" <= text[at] <= "\ufe0f"


def _span(off: timedelta) -> str:
    minutes = round(abs(off).total_seconds() / 60)
    for size, unit in ((1440, "d"), (60, "h")):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit}"
    return f"{minutes} min"


def _one_word(room: str) -> str:
    """Escape a room's name: one called "ops] alex: yes [" must not look like a message of alex."""
    return re.sub(r"[\s\[\]]", "_", _visible(room))


def _visible(name: str) -> str:
    # A name made of joiners only is empty once cleaned.
    return clean_line(name) or NOBODY
