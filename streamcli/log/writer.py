"""`Writer`: the stdin thread's way down to the log. Takes what is typed, hands it to the write worker, remembers it.

It runs in the main thread, which is the one that reads standard input. A message stays in its hands, and in the outbox
on disk, until it has been read back from the log: only then is it sent. It is kept and handed over side by side.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from streamcli.commands import Send
from streamcli.log.frames import Frame, pack_write, unpack_count, unpack_json
from streamcli.log.supervisor import WorkerSlot
from streamcli.model.address import Stream
from streamcli.model.message import Ids, Message, Unreadable, encode, hand_over, make, plausible
from streamcli.storage.outbox import Entry
from streamcli.storage.outbox_thread import OutboxThread

MODULE = "streamcli.log.wheel.write_worker"
NOT_PERMITTED = "the server does not permit this user to write to the stream"


@dataclass
class Unconfirmed:
    """A message of ours that was not read back yet."""

    message: Message
    event: bytes  # made once, when it was typed; each hand-over adds only when that is
    typed: float  # monotonic seconds
    acknowledged: float | None = None  # monotonic seconds
    log: str = ""  # the one that acknowledged it
    watched: bool = True  # whether its not being read back is held against the reader


@dataclass(frozen=True)
class Clock:
    """Where time comes from: the wall clock with its time zone, and a clock that only grows (seconds)."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]


class Owner(Protocol):
    """Who is told what becomes of messages; all calls come in the loop's thread."""

    def acknowledged(self) -> None:
        """The server has some of them."""

    def refused(self, entries: Sequence[Entry]) -> None:
        """The server will never take these, each for a reason."""

    def stream_gone(self) -> None:
        """The stream that was opened is no more, and a reader of it waits for ever."""


class Writer:
    """One terminal's way from the keys to the log."""

    def __init__(
        self,
        stream: Stream,
        sender: str,
        room: str,
        ids: Ids,
        clock: Clock,
        outbox: OutboxThread,
        owner: Owner,
    ) -> None:
        self._stream, self._sender, self._room = stream, sender, room
        self._ids, self._clock, self._outbox = ids, clock, outbox
        self._owner = owner
        self._unconfirmed: dict[str, Unconfirmed] = {}
        self._in_flight: deque[str] = deque()
        self._handed_over = 0.0
        self._log = ""
        self._adopted = self._is_live = self._may_begin = False
        self._loop = asyncio.get_running_loop()
        self.lane = WorkerSlot(MODULE, self._orders, self._on_frame, self._due_since, self._opened)
        outbox.start(self._adopt)

    @property
    def unconfirmed(self) -> list[Unconfirmed]:
        """Messages not read back yet, oldest first."""
        return list(self._unconfirmed.values())

    @property
    def unsent(self) -> list[Unconfirmed]:
        """Messages that the server has not even acknowledged, oldest first."""
        return [entry for entry in self._unconfirmed.values() if entry.acknowledged is None]

    def send(self, action: Send) -> None:
        """Take a message on; raises message.TooLong when it would be too large for the log."""
        now = plausible(self._clock.now())
        message = make(
            action.kind,
            action.text,
            sender=self._sender,
            id=self._ids.next(),
            room=self._room,
            typed_at=now,
        )
        encode(message.model_copy(update={"sent_at": now}))  # the longest form it can take
        self._outbox.add(message)
        self._take_on([Entry(message, event=encode(message))])

    def send_again(self, entries: Iterable[Entry]) -> None:
        """Take on what had failed and is to be tried once more."""
        self._take_on(list(entries))

    def live(self) -> None:
        """The log has been read: what an earlier life left in the outbox and is in the log was read back by now."""
        self._is_live = True
        if self._adopted:
            self._begin()

    def ours_among(self, contents: Iterable[Message | Unreadable]) -> list[str]:
        """The ids of those that are messages of ours which were not read back yet."""
        if not self._unconfirmed:
            return []  # nearly always: a long log is read quickly
        known = (content for content in contents if not isinstance(content, Unreadable))
        return [one.id for one in known if one.id in self._unconfirmed and one.sender == self._sender]

    def read_back(self, ids: Iterable[str]) -> None:
        """These messages of ours were read from the log: they are sent."""
        ids = list(ids)
        for id in ids:
            self._unconfirmed.pop(id, None)
        self._outbox.sent(ids)

    def unread_since(self) -> float | None:
        """Since when (monotonic) a message has been in the log without having been read back."""
        waiting = (entry.acknowledged for entry in self._unconfirmed.values() if entry.watched)
        return min((since for since in waiting if since is not None), default=None)

    def reader_replaced(self) -> None:
        """A new reader has begun; what it does not bring either is not its fault."""
        for entry in self._unconfirmed.values():
            entry.watched = entry.acknowledged is None

    def log_replaced(self, log: str) -> None:
        """What was acknowledged by another log counts for nothing in ``log``, which is read now: send it again."""
        there = bool(log) and self._log == log  # our worker was quicker than the reader's
        for entry in self._unconfirmed.values():
            if entry.acknowledged is not None and not (there and entry.log == log):
                entry.acknowledged, entry.watched = None, True
        if not there:
            # The worker's writer belongs to what is gone. What it was given goes to the next one, in order.
            self.lane.replace()
            self._in_flight.clear()
        else:
            self._hand_over_what_is_not()

    def _take_on(self, entries: Sequence[Entry]) -> None:
        for message, _, event in entries:
            self._unconfirmed[message.id] = Unconfirmed(message, event, self._clock.monotonic())
        if self._may_begin and self.lane.opened:
            for entry in entries:
                self._hand_over(entry.message.id)

    def _adopt(self, left: list[Entry]) -> None:
        """These were typed in an earlier life, before all that was typed in this one: it waits for them."""
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
        for entry in self.unsent if self._may_begin and self.lane.opened else ():
            if entry.message.id not in in_flight:
                self._hand_over(entry.message.id)

    def _orders(self) -> dict[str, Any]:
        return {"scope": self._stream.scope, "stream": self._stream.stream}

    def _due_since(self, last_frame: float) -> float | None:
        return max(last_frame, self._handed_over) if self._in_flight else None

    def _opened(self, fields: dict[str, Any]) -> None:
        self._log = fields["log"]
        self._in_flight.clear()
        self._hand_over_what_is_not()

    def _hand_over(self, id: str) -> None:
        entry, now = self._unconfirmed[id], plausible(self._clock.now())
        if not self._in_flight:
            self._handed_over = self._clock.monotonic()
        self._in_flight.append(id)
        self.lane.send(pack_write(entry.message.room, hand_over(entry.event, now)))

    def _on_frame(self, frame: Frame, payload: bytes) -> None:
        """In the listening thread: leave it to the loop."""
        if frame is Frame.WRITTEN:
            self._loop.call_soon_threadsafe(self._acknowledge, unpack_count(payload))
        elif frame is Frame.FAILED:
            kind = unpack_json(payload)["kind"]
            if kind in ("denied", "gone"):
                self._loop.call_soon_threadsafe(self._refused if kind == "denied" else self._owner.stream_gone)

    def _refused(self) -> None:
        """The server takes nothing from this user: what waits would stand there for ever."""
        entries = [Entry(entry.message, NOT_PERMITTED, entry.event) for entry in self.unsent]
        for entry in entries:
            del self._unconfirmed[entry.message.id]
        self._outbox.failed([entry.message.id for entry in entries], NOT_PERMITTED)
        if entries:
            self._owner.refused(entries)

    def _acknowledge(self, count: int) -> None:
        now = self._clock.monotonic()
        for _ in range(min(count, len(self._in_flight))):
            if entry := self._unconfirmed.get(self._in_flight.popleft()):
                entry.acknowledged, entry.log = now, self._log
        self._handed_over = now
        self._owner.acknowledged()
