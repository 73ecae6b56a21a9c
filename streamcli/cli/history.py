"""``streamcli history`` and ``streamcli search``: what this machine remembers, after a look whether there is more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from streamcli.config import Settings, wants_colour, zone_trouble
from streamcli.errors import NothingFound, NotPermitted, Unreachable, UsageError
from streamcli.log.reader import Reader
from streamcli.log.supervisor import ConnectionStatus, Supervisor
from streamcli.log.wheel.groups import GroupNames
from streamcli.model.address import Controller
from streamcli.model.message import Message
from streamcli.model.names import quoted
from streamcli.storage import word_index
from streamcli.storage.directories import Places, address_key
from streamcli.storage.history_queries import HistoryQueries
from streamcli.storage.recorder import Recorder
from streamcli.system.guard import watched
from streamcli.system.paths import state_dir
from streamcli.system.printing import Printer
from streamcli.ui.days import Days
from streamcli.ui.json_lines import wire_line
from streamcli.ui.render import MessageStyle
from streamcli.views.timeline import DecodedEvent, LogOpened, LogPosition, Timeline

MOMENT = 2.0  # seconds a server gets to open the log, of which our own worker needs 0.3
SHOWN = 50
INDEXING = 2.0  # seconds for the word index to follow
SAID_EVERY = 0.2  # seconds between two looks at how far reading is


@dataclass(frozen=True)
class Asked:
    """The last ``count`` messages, or of those with ``words`` the newest; as text or JSON."""

    count: int
    words: str | None = None
    json: bool = False


async def show(settings: Settings, asked: Asked, locate: Callable[[], Controller], worker_log: IO[bytes]) -> int:
    """Print what is asked for and return 0; raises NothingFound, and without history Unreachable and NotPermitted."""
    style = MessageStyle("", os.isatty(1) and wants_colour())
    limits = "" if asked.words is None else word_index.limits(asked.words)
    if asked.words is not None and not word_index.query(asked.words):
        raise UsageError(f"There is nothing to look for in {quoted(asked.words)}. {limits}".rstrip())
    taking = _TakingIn(settings, locate, worker_log, lambda text: print(style.note(text), file=sys.stderr))
    why_not = await taking.run()
    if why_not and not taking.recorder.path:
        raise taking.refusal or Unreachable(
            f"There is no history on this machine yet, and no server to read from: {why_not}"
        )
    if why_not:
        print(style.note(f"From this machine's disk only: {why_not}"), file=sys.stderr)
    queries = HistoryQueries(lambda: taking.recorder.path)
    try:
        messages = await _found(queries, asked, style)
    finally:
        queries.close()
    if not messages:
        raise NothingFound("There are no messages yet." if asked.words is None else f"Nothing found. {limits}".rstrip())
    if limits:
        print(style.note(limits), file=sys.stderr)
    if trouble := "" if asked.json else zone_trouble():
        print(style.note(trouble), file=sys.stderr)
    await _print("\n".join(map(wire_line, messages) if asked.json else _lines(style, messages)))
    return 0


async def _print(text: str) -> None:
    """Print ``text`` in a thread, so that Ctrl-C is heard while the reader is slow; raises OSError."""
    end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: OSError | None = None) -> None:
        if end.done():
            return
        if error:
            end.set_exception(error)
        else:
            end.set_result(None)

    Printer(done).print(text, done)
    await end


async def _found(queries: HistoryQueries, asked: Asked, style: MessageStyle) -> list[Message]:
    if asked.words is None:
        return await queries.last(asked.count)
    found = await queries.search(asked.words, asked.count, INDEXING)
    if found.behind:
        text = f"The newest {found.behind:,} messages are not looked through yet; ask again to get on."
        print(style.note(text), file=sys.stderr)
    return list(reversed(found.messages))


def _lines(style: MessageStyle, messages: Sequence[Message]) -> list[str]:
    lines: list[str] = []
    for day, message, off in Days(style).divide(messages):
        lines += [style.day(day)] if day else []
        lines.append(style.message(message, off))
    return lines


class _TakingIn:
    """Reads what is new in the log into the history, as a chat does, but draws nothing."""

    def __init__(
        self, settings: Settings, locate: Callable[[], Controller], worker_log: IO[bytes], say: Callable[[str], None]
    ) -> None:
        self._timeout = settings.timeout
        self._state = Timeline()
        self._loop = asyncio.get_running_loop()
        self._say = say
        self.recorder = Recorder(Places(settings.user), address_key(settings.controller, settings.stream), self._note)
        self._groups = GroupNames(state_dir() / "groups", settings.group_owner, settings.stream)
        self._reader = Reader(settings.stream, self._groups, self, self.recorder, lambda: None, trace=False)
        self._supervisor = Supervisor(locate, [self._reader.lane], settings.stream, self._on_link, worker_log)
        self._gone = f"the stream {settings.stream} does not exist on that server"
        self._moved = time.monotonic()
        self._opened = False
        self.refusal: NotPermitted | None = None
        self._why_not = "the server does not answer in time"
        self._end = asyncio.Event()

    async def run(self) -> str:
        """Read up to the tail and return "", or why that was not possible."""
        self.recorder.resume(self._state)
        work = [watched(self._supervisor.run()), watched(self._watch())]
        try:
            await asyncio.wait([*work, asyncio.create_task(self._end.wait())], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            self._supervisor.kill()
            await asyncio.wait(work, timeout=1)
            self._groups.close()
            self._reader.close()
        return "" if self._state.live else self._why_not

    async def _watch(self) -> None:
        """End the reading when it stands still, and show how far it is while it takes long."""
        shown = False
        while time.monotonic() < self._moved + (self._timeout if self._opened else MOMENT):
            await asyncio.sleep(SAID_EVERY)
            if self._opened and (progress := self._state.progress) is not None and os.isatty(2):
                print(f"\rreading the log {progress:4.0%}", end="", file=sys.stderr, flush=True)
                shown = True
        if shown:
            print(file=sys.stderr)
        self._end.set()

    def place(self) -> LogPosition:
        """Where a new reader goes on."""
        return self._state.place or LogPosition()

    def opened(self, opened: LogOpened) -> None:
        """A reader begins."""
        self._opened = True
        self._moved = time.monotonic()
        if self._state.open(opened):
            self._say("This is another log than before: the server or the stream was made anew.")

    def arrived(self, batch: list[DecodedEvent], drawn: Callable[[], None]) -> None:
        """It is stored already."""
        self._moved = time.monotonic()
        self._state.take(batch)
        drawn()

    def caught_up(self) -> None:
        """That is all there is."""
        self._state.caught_up()
        self._end.set()

    def stuck(self, passable: bool) -> None:
        """The next reader leads past it, or as far as anybody gets."""

    def _on_link(self, link: ConnectionStatus) -> None:
        self.refusal = link.refusal
        if link.words:
            self._why_not = self._gone if self._reader.lane.trouble.get("kind") == "gone" else link.words
            self._end.set()

    def _note(self, text: str) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._say, text)
