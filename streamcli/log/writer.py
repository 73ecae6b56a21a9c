"""`Writer`: sends typed messages. A message counts as sent only when it was read back from the log.

All calls are for the loop's thread. Meanwhile the outbox keeps each message on disk; both run side by side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamcli.log.api import Log
from streamcli.model.event import Entry
from streamcli.model.message import Ids, Kind, Message, Unreadable, encode, hand_over, make, plausible
from streamcli.system.clock import Clock

NOT_PERMITTED = "the server does not permit this user to write to the stream"


@dataclass
class Unconfirmed:
    """A message of ours that was not read back yet."""

    message: Message
    event: bytes  # encoded once, when typed; each hand-over only adds its time
    typed: float  # monotonic seconds
    acknowledged: float | None = None  # monotonic seconds
    log: str = ""  # the log that acknowledged it
    watched: bool = True  # whether the reader is blamed if it is not read back


class Owner(Protocol):
    """Is told what becomes of messages; all calls come in the loop's thread."""

    def acknowledged(self) -> None:
        """The server has stored some of them."""

    def refused(self, entries: Sequence[Entry]) -> None:
        """The server refused these permanently; each entry has a reason."""

    def stream_gone(self) -> None:
        """The opened stream no longer exists, and its readers wait forever."""


class Outbox(Protocol):
    """Keeps messages on disk from when they are typed until they are read back. No call waits for the disk."""

    def start(self, adopted: Callable[[list[Entry]], None]) -> None:
        """Open it and call ``adopted``, once, in the loop, with what dead terminals left unsent, oldest first."""

    def add(self, message: Message) -> None:
        """Store a message."""

    def sent(self, ids: Sequence[str]) -> None:
        """Delete these messages: they are in the log."""

    def failed(self, ids: Sequence[str], reason: str) -> None:
        """Record that the server refused these permanently; ``reason`` is a sentence."""


class Writer:
    """One terminal's path from the keyboard to the log."""

    def __init__(self, log: Log, sender: str, room: str, ids: Ids, clock: Clock, outbox: Outbox, owner: Owner) -> None:
        self._sender, self._room = sender, room
        self._ids, self._clock, self._outbox = ids, clock, outbox
        self._owner = owner
        self._unconfirmed: dict[str, Unconfirmed] = {}
        self._in_flight: deque[str] = deque()
        self._handed_over = 0.0
        self._log = ""
        self._adopted = self._is_live = self._may_begin = False
        self.connection = log.append_for(_Appending(self))
        outbox.start(self._adopt)

    @property
    def unconfirmed(self) -> list[Unconfirmed]:
        """Messages not read back yet, oldest first."""
        return list(self._unconfirmed.values())

    @property
    def unsent(self) -> list[Unconfirmed]:
        """Messages that the server has not acknowledged yet, oldest first."""
        return [entry for entry in self._unconfirmed.values() if entry.acknowledged is None]

    def send(self, kind: Kind, text: str) -> None:
        """Send a message; raises message.TooLong when it would be too large for the log."""
        now = plausible(self._clock.now())
        message = make(
            kind,
            text,
            sender=self._sender,
            id=self._ids.next(),
            room=self._room,
            typed_at=now,
        )
        encode(message.model_copy(update={"sent_at": now}))  # check the longest form it can take
        self._outbox.add(message)
        self._take_on([Entry(message, event=encode(message))])

    def send_again(self, entries: Iterable[Entry]) -> None:
        """Send failed messages again."""
        self._take_on(list(entries))

    def live(self) -> None:
        """Handle the end of catch-up: all adopted messages that are in the log have been read back by now."""
        self._is_live = True
        if self._adopted:
            self._begin()

    def ours_among(self, contents: Iterable[Message | Unreadable]) -> list[str]:
        """Return the ids of our own messages among these that were not read back yet."""
        if not self._unconfirmed:
            return []  # the usual case: keeps a catch-up of a long log fast
        known = (content for content in contents if not isinstance(content, Unreadable))
        return [one.id for one in known if one.id in self._unconfirmed and one.sender == self._sender]

    def read_back(self, ids: Iterable[str]) -> None:
        """Handle our own messages that were read from the log: they are sent."""
        ids = list(ids)
        for id in ids:
            self._unconfirmed.pop(id, None)
        self._outbox.sent(ids)

    def unread_since(self) -> float | None:
        """Return since when (monotonic seconds) a message has been in the log without having been read back."""
        waiting = (entry.acknowledged for entry in self._unconfirmed.values() if entry.watched)
        return min((since for since in waiting if since is not None), default=None)

    def reader_replaced(self) -> None:
        """Handle a new reader; a message that it does not bring either is not its fault."""
        for entry in self._unconfirmed.values():
            entry.watched = entry.acknowledged is None

    def log_replaced(self, log: str) -> None:
        """Handle a change to ``log``: resend what another log acknowledged."""
        there = bool(log) and self._log == log  # our worker opened it before the reader's did
        for entry in self._unconfirmed.values():
            if entry.acknowledged is not None and not (there and entry.log == log):
                entry.acknowledged, entry.watched = None, True
        if not there:
            # The worker's writer belongs to the old stream. The next worker gets its events, in order.
            self.connection.replace()
            self._in_flight.clear()
        else:
            self._hand_over_what_is_not()

    def _take_on(self, entries: Sequence[Entry]) -> None:
        for message, _, event in entries:
            self._unconfirmed[message.id] = Unconfirmed(message, event, self._clock.monotonic())
        if self._may_begin and self.connection.is_open:
            for entry in entries:
                self._hand_over(entry.message.id)

    def _adopt(self, left: list[Entry]) -> None:
        """Put messages of an earlier run before all that were typed in this one, which wait for them."""
        typed, self._unconfirmed = self._unconfirmed, {}
        self._adopted = True
        self._take_on(left)
        self._unconfirmed.update(typed)
        if self._is_live or not left:
            self._begin()

    def _begin(self) -> None:
        if not self._may_begin:
            self._may_begin = True
            self._hand_over_what_is_not()

    def _hand_over_what_is_not(self) -> None:
        in_flight = set(self._in_flight)
        for entry in self.unsent if self._may_begin and self.connection.is_open else ():
            if entry.message.id not in in_flight:
                self._hand_over(entry.message.id)

    def _due_since(self, last_frame: float) -> float | None:
        return max(last_frame, self._handed_over) if self._in_flight else None

    def _opened(self, log: str) -> None:
        self._log = log
        self._in_flight.clear()
        self._hand_over_what_is_not()

    def _hand_over(self, id: str) -> None:
        entry, now = self._unconfirmed[id], plausible(self._clock.now())
        if not self._in_flight:
            self._handed_over = self._clock.monotonic()
        self._in_flight.append(id)
        self.connection.append(entry.message.room, [hand_over(entry.event, now)])

    def _refused(self) -> None:
        """Fail all unsent messages: the server refuses this user, so they would wait forever."""
        entries = [Entry(entry.message, NOT_PERMITTED, entry.event) for entry in self.unsent]
        for entry in entries:
            del self._unconfirmed[entry.message.id]
        self._outbox.failed([entry.message.id for entry in entries], NOT_PERMITTED)
        if entries:
            self._owner.refused(entries)

    def _reject_oldest(self, words: str) -> None:
        """Fail the oldest message in flight: the server refuses it, and will do so again."""
        if not self._in_flight:
            return
        self._handed_over = self._clock.monotonic()
        if entry := self._unconfirmed.pop(self._in_flight.popleft(), None):
            self._outbox.failed([entry.message.id], words)
            self._owner.refused([Entry(entry.message, words, entry.event)])

    def _acknowledge(self, count: int) -> None:
        now = self._clock.monotonic()
        for _ in range(min(count, len(self._in_flight))):
            if entry := self._unconfirmed.get(self._in_flight.popleft()):
                entry.acknowledged, entry.log = now, self._log
        self._handed_over = now
        self._owner.acknowledged()


class _Appending:
    """Adapts the writer to streamcli.log.api.AppendListener."""

    def __init__(self, writer: Writer) -> None:
        self.opened, self.acknowledged, self.due_since = writer._opened, writer._acknowledge, writer._due_since
        self.refused, self.stream_gone = writer._refused, writer._owner.stream_gone
        self.rejected = writer._reject_oldest
