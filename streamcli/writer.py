"""`Writer`: the stdin thread's way down to the log. Takes what is typed, hands it to the write worker, remembers it.

It runs in the main thread, which is the one that reads standard input. A message stays in its hands until it has been
read back from the log: only then is it sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from streamcli.address import Stream
from streamcli.commands import Send
from streamcli.message import Ids, Known, encode, make
from streamcli.pravega.frames import Frame, pack_write, unpack_count
from streamcli.pravega.supervisor import Lane

MODULE = "streamcli.pravega.write_worker"
TYPED_LONG_AGO = timedelta(seconds=5)


@dataclass
class Unconfirmed:
    """A message of ours that was not read back yet."""

    message: Known
    typed: float  # monotonic seconds
    acknowledged: float | None = None  # monotonic seconds
    log: str = ""  # the one that acknowledged it
    watched: bool = True  # whether its not being read back is held against the reader


@dataclass(frozen=True)
class Clock:
    """Where time comes from: the wall clock with its time zone, and a clock that only grows (seconds)."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]


class Writer:
    """One terminal's way from the keys to the log."""

    def __init__(
        self, stream: Stream, sender: str, room: str, ids: Ids, clock: Clock, on_change: Callable[[], None]
    ) -> None:
        """``on_change()`` is called in the loop when a message was acknowledged."""
        self._stream, self._sender, self._room = stream, sender, room
        self._ids, self._clock, self._on_change = ids, clock, on_change
        self._unconfirmed: dict[str, Unconfirmed] = {}
        self._in_flight: deque[str] = deque()
        self._handed_over = 0.0
        self._log = ""
        self._loop = asyncio.get_running_loop()
        self.lane = Lane(MODULE, self._orders, self._on_frame, self._due_since, self._opened)

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
        now = self._clock.now()
        message = make(
            action.kind,
            action.text,
            sender=self._sender,
            id=self._ids.next(),
            room=self._room,
            sent_at=now,
            typed_at=now,
        )
        encode(message)  # the longest form it can take
        self._unconfirmed[message.id] = Unconfirmed(message, self._clock.monotonic())
        if self.lane.opened:
            self._hand_over(message.id)

    def waits_for(self, sender: str, id: str) -> bool:
        """Whether this is a message of ours that was not read back yet."""
        return id in self._unconfirmed and sender == self._sender

    def read_back(self, ids: Iterable[str]) -> None:
        """These messages of ours were read from the log: they are sent."""
        for id in ids:
            self._unconfirmed.pop(id, None)

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
        elif self.lane.opened:
            in_flight = set(self._in_flight)
            for entry in self.unsent:
                if entry.message.id not in in_flight:
                    self._hand_over(entry.message.id)

    def _orders(self) -> dict[str, Any]:
        return {"scope": self._stream.scope, "stream": self._stream.stream}

    def _due_since(self, last_frame: float) -> float | None:
        return max(last_frame, self._handed_over) if self._in_flight else None

    def _opened(self, fields: dict[str, Any]) -> None:
        self._log = fields["log"]
        self._in_flight.clear()
        for entry in self.unsent:
            self._hand_over(entry.message.id)

    def _hand_over(self, id: str) -> None:
        entry, now = self._unconfirmed[id], self._clock.now()
        typed = entry.message.typed_at
        long_ago = typed is not None and now - typed > TYPED_LONG_AGO
        message = entry.message.model_copy(update={"sent_at": now, "typed_at": typed if long_ago else None})
        if not self._in_flight:
            self._handed_over = self._clock.monotonic()
        self._in_flight.append(id)
        self.lane.send(pack_write(message.room, encode(message)))

    def _on_frame(self, frame: Frame, payload: bytes) -> None:
        """In the listening thread: leave it to the loop."""
        if frame is Frame.WRITTEN:
            self._loop.call_soon_threadsafe(self._acknowledge, unpack_count(payload))

    def _acknowledge(self, count: int) -> None:
        now = self._clock.monotonic()
        for _ in range(min(count, len(self._in_flight))):
            if entry := self._unconfirmed.get(self._in_flight.popleft()):
                entry.acknowledged, entry.log = now, self._log
        self._handed_over = now
        self._on_change()
