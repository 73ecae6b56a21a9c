"""``streamcli tail``: messages from the head of the log on, one a line, without a trace on the server."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from streamcli.config import Settings, wants_colour, zone_trouble
from streamcli.errors import Interrupted, NoSuchStream, StreamcliError, Unreachable, from_os_error
from streamcli.log.frames import Frame, pack, unpack_json
from streamcli.log.reader import MODULE, events
from streamcli.log.supervisor import ConnectionStatus, Supervisor, WorkerSlot
from streamcli.log.wheel.cleaning import clean
from streamcli.log.wheel.groups import head_group
from streamcli.model.address import Controller
from streamcli.model.dedup_key import DedupKeys
from streamcli.model.message import Message
from streamcli.model.names import reader_group
from streamcli.system.guard import watched
from streamcli.system.printing import Printer
from streamcli.system.signals import on_signal
from streamcli.system.standard_files import STDERR
from streamcli.ui.days import Days
from streamcli.ui.json_lines import wire_line
from streamcli.ui.render import MessageStyle
from streamcli.views.timeline import DecodedEvent, FoldResult, LogOpened, Timeline

TROUBLE_SAID_AFTER = 0.5  # seconds
WHOLE = "streamcli history shows all"
SAID_WITHIN = 0.5  # seconds that the last words wait for a slow reader


@dataclass(frozen=True)
class Wanted:
    """What is to be printed: all, the last messages, or one room's; as text or JSON; to the end or for ever."""

    json: bool = False
    follow: bool = True
    last: int | None = None
    room: str | None = None


class Tail:
    """Reads the log as raw bytes where it can and prints what is new."""

    def __init__(
        self, settings: Settings, wanted: Wanted, locate: Callable[[], Controller], worker_log: IO[bytes] | int
    ) -> None:
        """``locate`` names the controller or raises Unreachable."""
        self._settings, self._wanted = settings, wanted
        interactive = os.isatty(1)
        self._style = MessageStyle("", interactive and wants_colour(), whole=WHOLE if interactive else "")
        self._days = Days(self._style, datetime.now().date())
        self._state = Timeline()
        self._identities = DedupKeys(1)
        self._kept: deque[Message] = deque(maxlen=wanted.last)
        self._unreadable: Counter[str] = Counter()
        self._words = self._group = ""
        self._log = worker_log
        self._moved = time.monotonic()
        self._read_once = False
        self._end = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._printer = Printer(self._cannot_print)
        self._lane = WorkerSlot(MODULE, self._orders, self._on_frame, lambda last: None, self._opened)
        self._supervisor = Supervisor(locate, [self._lane], settings.stream, self._on_link, worker_log)

    async def run(self) -> int:
        """Print until the end of the log, or for ever; returns 0.

        Raises NoSuchStream, NotPermitted, Unreachable and Interrupted.
        """
        task = asyncio.current_task()
        assert task
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            on_signal(number, task.cancel)
        if trouble := "" if self._wanted.json else zone_trouble():
            self._note(trouble)
        watching = [watched(work) for work in (self._supervisor.run(), self._give_up())]
        try:
            await self._end
        except asyncio.CancelledError:
            raise Interrupted("Interrupted.") from None
        finally:
            for work in watching:
                work.cancel()
            self._supervisor.kill()
            await self._clean()
            if self._unreadable:
                self._printer.print(self._style.unreadable(self._unreadable), fd=STDERR)
                await self._printer.printed(SAID_WITHIN)
        return 0

    async def _clean(self) -> None:
        # On several segments there were no bytes to read but only a reader group.
        if self._state.segments > 1 and self._lane.controller:
            groups = [self._group, head_group(self._group)]
            await clean(self._lane.controller, self._settings.stream.scope, groups, self._log)

    async def _give_up(self) -> None:
        """End with an error when nothing moves for too long; who follows waits for a server that was there once."""
        while True:
            left = self._moved + self._settings.timeout - time.monotonic()
            if left <= 0 and not (self._wanted.follow and self._read_once):
                self._fail(
                    Unreachable(
                        f"Gave up after {self._settings.timeout:g} s: {(self._words or 'no answer').rstrip('.')}."
                    )
                )
            await asyncio.sleep(max(left, 0.1))

    def _orders(self) -> dict[str, Any]:
        old, slot = self._group, f"tail.{os.urandom(6).hex()}"
        self._group = group = reader_group(self._settings.group_owner, slot, self._settings.stream.stream)
        return {
            "scope": self._settings.stream.scope,
            "stream": self._settings.stream.stream,
            "group": group,
            "head_group": head_group(group),
            "old_groups": [old, head_group(old)] if old else [],
            "log": self._state.place.place if self._state.place else "",
            "position": self._state.position,
            "last": None,
            "trace": False,
        }

    def _on_link(self, link: ConnectionStatus) -> None:
        self._words = link.words
        if link.words:
            self._loop.call_later(TROUBLE_SAID_AFTER, self._say_trouble, link.words)
        # Who follows has seen it: then somebody is about to make it anew.
        if self._wanted.follow and self._read_once:
            return
        if link.refusal:
            self._fail(link.refusal)
        elif self._lane.trouble.get("kind") == "gone":
            self._fail(NoSuchStream(f"The stream {self._settings.stream} does not exist on that server."))

    def _say_trouble(self, words: str) -> None:
        if words == self._words and not self._end.done():
            self._note(f"waiting: {words}")

    def _on_frame(self, frame: Frame, payload: bytes) -> None:
        """In the listening thread: decode, and leave the rest to the loop."""
        if frame is Frame.OPENED:
            self._identities = DedupKeys(unpack_json(payload)["segments"])
        elif frame is Frame.EVENTS:
            _, ends, _, contents = zip(*events(payload), strict=True)
            batch = list(map(DecodedEvent, ends, contents, self._identities.of(contents)))
            self._loop.call_soon_threadsafe(self._take, batch)
        elif frame is Frame.CAUGHT_UP:
            self._loop.call_soon_threadsafe(self._caught_up)

    def _opened(self, fields: dict[str, Any]) -> None:
        self._state.open(LogOpened(**fields))
        self._state.live = True  # nothing is kept back: all of it is wanted
        self._moved = time.monotonic()

    def _take(self, batch: list[DecodedEvent]) -> None:
        self._moved = time.monotonic()
        seen = self._state.take(batch)
        self._unreadable += seen.unreadable
        self._write(self._chosen(seen), lambda: self._lane.send(pack(Frame.TAKEN)))

    def _chosen(self, seen: FoldResult) -> list[Message]:
        messages = [message for message in seen.messages if self._wanted.room in (None, message.room)]
        if self._wanted.last is None or self._read_once:
            return messages
        self._kept.extend(messages)
        return []

    def _caught_up(self) -> None:
        self._read_once = True
        kept = list(self._kept)
        self._kept.clear()
        self._write(kept, lambda: None if self._wanted.follow else self._finish())

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

    def _fail(self, error: StreamcliError | OSError) -> None:
        if not self._end.done():
            self._end.set_exception(error)
