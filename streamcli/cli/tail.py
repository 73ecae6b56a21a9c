"""``streamcli tail``: prints messages from the head of the log on, one per line, and leaves no trace on the server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streamcli.config import Settings, wants_colour, zone_trouble
from streamcli.errors import Interrupted, StreamcliError, from_os_error
from streamcli.log.api import ConnectionStatus, ReadMode, Target
from streamcli.log.outage import Outage
from streamcli.log.reader import Beginning, Reader
from streamcli.log.session import LogSession
from streamcli.model.cursor import LogOpened
from streamcli.model.event import Arrived
from streamcli.model.message import Message, Unreadable
from streamcli.storage.seen_keys import Passing
from streamcli.system.clock import Clock
from streamcli.system.printing import Printer
from streamcli.system.signals import on_signal
from streamcli.system.standard_files import STDERR
from streamcli.ui.days import Days
from streamcli.ui.json_lines import wire_line
from streamcli.ui.render import MessageStyle

TROUBLE_SAID_AFTER = 0.5  # seconds
WHOLE = "streamcli history shows all"
SAID_WITHIN = 0.5  # seconds that the last lines wait for a slow reader


@dataclass(frozen=True)
class Wanted:
    """What to print: all, the last messages, or one room's; as text or JSON; up to the tail or forever."""

    json: bool = False
    follow: bool = True
    last: int | None = None
    room: str | None = None


class Tail:
    """Reads the log and prints new messages."""

    def __init__(self, settings: Settings, wanted: Wanted, target: Target, clock: Clock) -> None:
        self._wanted = wanted
        interactive = os.isatty(1)
        self._style = MessageStyle("", interactive and wants_colour(), whole=WHOLE if interactive else "")
        self._days = Days(self._style, clock.today())
        self._kept: deque[Message] = deque(maxlen=wanted.last)
        self._unreadable: Counter[str] = Counter()
        self._read_once = False
        self._outage = Outage(clock.monotonic)
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._printer = Printer(self._cannot_print)
        self._session = LogSession(target, settings.timeout, self._status_changed, clock, must_exist=True)
        self._reader = Reader(self._session.log, ReadMode.LOOK, self, Passing(), now=clock.monotonic)

    async def run(self) -> int:
        """Print up to the log's tail, or forever; returns 0.

        Raises NoSuchStream, NotPermitted, Unreachable and Interrupted.
        """
        task = asyncio.current_task()
        assert task
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            on_signal(number, task.cancel)
        if trouble := "" if self._wanted.json else zone_trouble():
            self._note(trouble)
        async with self._session:
            try:
                await self._session.until(self._end.done, forever=self._follows)
                self._end.result()
            except asyncio.CancelledError:
                raise Interrupted("Interrupted.") from None
            finally:
                self._session.log.kill()
                await self._session.log.clean()
                self._reader.close()
                if self._unreadable:
                    self._printer.print(self._style.unreadable(self._unreadable), fd=STDERR)
                    await self._printer.printed(SAID_WITHIN)
        return 0

    def _follows(self) -> bool:
        """Return whether to wait without a time limit: after catch-up, any fault is expected to be repaired."""
        return self._wanted.follow and self._read_once

    def _status_changed(self, status: ConnectionStatus) -> None:
        if over := self._outage.changed(status):
            self._note(over)
        if status.words:
            self._loop.call_later(TROUBLE_SAID_AFTER, self._say_trouble, status.words)

    def _say_trouble(self, words: str) -> None:
        if words == self._session.status.words and not self._end.done():
            self._outage.was_said = True
            self._note(f"waiting: {words}")

    # Implements streamcli.log.reader.Listener.

    def opened(self, opened: LogOpened, beginning: Beginning) -> None:
        """Reading begins."""
        self._session.moved()

    def arrived(self, batch: list[Arrived], shown: Callable[[], None]) -> None:
        """Print the new messages."""
        self._session.moved()
        fresh = [content for content, is_fresh in batch if is_fresh]
        self._unreadable.update(content.reason for content in fresh if isinstance(content, Unreadable))
        self._write(self._chosen([one for one in fresh if not isinstance(one, Unreadable)]), shown)

    def caught_up(self) -> None:
        """Print the last messages of the catch-up; end unless following."""
        self._read_once = True
        kept = list(self._kept)
        self._kept.clear()
        self._write(kept, lambda: None if self._wanted.follow else self._finish())

    def stuck(self, passable: bool) -> None:
        """Ignore it: the next connection gets past it, or as far as possible."""

    def _chosen(self, messages: list[Message]) -> list[Message]:
        messages = [message for message in messages if self._wanted.room in (None, message.room)]
        if self._wanted.last is None or self._read_once:
            return messages
        self._kept.extend(messages)
        return []

    def _write(self, messages: list[Message], then: Callable[[], None]) -> None:
        lines = list(map(wire_line, messages) if self._wanted.json else self._lines(messages))
        self._printer.print("\n".join(lines), then)

    def _lines(self, messages: list[Message]) -> Iterator[str]:
        for day, message, off in self._days.divide(messages):
            if day:
                yield self._style.day(day)
            yield self._style.message(message, off)

    def _note(self, text: str) -> None:
        self._printer.print(self._style.note(text), fd=STDERR)

    def _cannot_print(self, error: OSError) -> None:
        self._fail(error if isinstance(error, BrokenPipeError) else from_os_error(error, "the output"))

    def _finish(self) -> None:
        if not self._end.done():
            self._end.set_result(None)
            self._session.moved()

    def _fail(self, error: StreamcliError | OSError) -> None:
        if not self._end.done():
            self._end.set_exception(error)
            self._session.moved()
