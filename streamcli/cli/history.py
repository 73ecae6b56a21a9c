"""``streamcli history`` and ``streamcli search``: print this machine's history, after a catch-up if possible."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamcli.config import Settings, wants_colour, zone_trouble
from streamcli.errors import NothingFound, StreamcliError, Unreachable, UsageError
from streamcli.log.api import ReadMode, Target
from streamcli.log.reader import Beginning, Reader
from streamcli.log.session import LogSession
from streamcli.model.cursor import LogOpened
from streamcli.model.event import Arrived
from streamcli.model.message import Message
from streamcli.model.names import quoted
from streamcli.storage import word_index
from streamcli.storage.directories import Places, address_key
from streamcli.storage.history_queries import HistoryQueries
from streamcli.storage.recorder import Recorder
from streamcli.system.clock import Clock
from streamcli.system.printing import Printer
from streamcli.ui.days import Days
from streamcli.ui.json_lines import wire_line
from streamcli.ui.render import MessageStyle

SHOWN = 50
INDEXING = 2.0  # seconds for the word index to catch up
SAID_EVERY = 0.2  # seconds between two checks of the reading progress


@dataclass(frozen=True)
class Asked:
    """The request: the last ``count`` messages, or the newest with ``words``; as text or JSON."""

    count: int
    words: str | None = None
    json: bool = False


async def show(settings: Settings, asked: Asked, target: Target, clock: Clock) -> int:
    """Print the requested messages; return 0.

    Raises NothingFound; without a history Unreachable, NotPermitted and Unusable.
    """
    style = MessageStyle("", os.isatty(1) and wants_colour())
    limits = "" if asked.words is None else word_index.limits(asked.words)
    if asked.words is not None and not word_index.query(asked.words):
        raise UsageError(f"No words to search for in {quoted(asked.words)}. {limits}".rstrip())
    taking = _TakingIn(settings, target, clock, lambda text: print(style.note(text), file=sys.stderr))
    why_not = await taking.run()
    if why_not and not taking.recorder.path:
        raise taking.refusal or Unreachable(
            f"There is no history on this machine yet, and no server to read from: {why_not}"
        )
    if why_not:
        print(style.note(f"From this machine's disk only: {why_not}"), file=sys.stderr)
    queries = HistoryQueries(lambda: taking.recorder.path, clock.monotonic)
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
    """Print ``text`` in a thread, so that Ctrl-C works while the reader is slow; raises OSError."""
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
        text = f"The newest {found.behind:,} messages are not indexed yet; search again to continue."
        print(style.note(text), file=sys.stderr)
    return list(reversed(found.messages))


def _lines(style: MessageStyle, messages: Sequence[Message]) -> list[str]:
    lines: list[str] = []
    for day, message, off in Days(style).divide(messages):
        lines += [style.day(day)] if day else []
        lines.append(style.message(message, off))
    return lines


class _TakingIn:
    """Reads new messages of the log into the history, as a chat does, but draws nothing."""

    def __init__(self, settings: Settings, target: Target, clock: Clock, say: Callable[[str], None]) -> None:
        self._timeout, self._now = settings.timeout, clock.monotonic
        self._loop = asyncio.get_running_loop()
        self._say = say
        self.recorder = Recorder(Places(settings.user), address_key(settings.where, settings.stream), self._note)
        self._session = LogSession(target, settings.timeout, clock=clock)
        cursor, _ = self.recorder.resume(0)
        self._reader = Reader(self._session.log, ReadMode.LOOK, self, self.recorder, cursor=cursor, now=clock.monotonic)
        self._gone = f"the stream {settings.stream} does not exist on that server"
        self._ends_at = 0.0  # monotonic seconds
        self._opened = self._read = False

    @property
    def refusal(self) -> StreamcliError | None:
        """The error if the server does not let us read, or no client can, else None."""
        return self._session.status.refusal

    async def run(self) -> str:
        """Read up to the tail and return "", or the reason why that was impossible."""
        self._moved(self._timeout)
        try:
            async with self._session:
                await self._watch()
                status = self._session.status
                self._session.log.kill()
                await self._session.log.clean()
        finally:
            self._reader.close()
        if self._read:
            return ""
        return self._gone if status.missing else status.words or "the server does not answer in time"

    async def _watch(self) -> None:
        """End the reading when it stalls, and show its progress if it takes long."""
        shown = False
        while not (self._read or self._session.status.words) and (left := self._ends_at - self._now()) > 0:
            await self._session.news_within(min(left, SAID_EVERY))
            if self._opened and (progress := self._reader.progress) is not None and os.isatty(2) and not self._read:
                print(f"\rreading the log {progress:4.0%}", end="", file=sys.stderr, flush=True)
                shown = True
        if shown:
            print(file=sys.stderr)

    def _moved(self, within: float) -> None:
        self._ends_at = self._now() + within
        self._session.moved()

    # Implements streamcli.log.reader.Listener.

    def opened(self, opened: LogOpened, beginning: Beginning) -> None:
        """Reading begins."""
        self._opened = True
        self._moved(self._timeout)
        if beginning.another:
            self._say("This is another log than before: it was made anew, or restored from an older copy.")

    def arrived(self, batch: list[Arrived], shown: Callable[[], None]) -> None:
        """Do nothing: the batch is already stored."""
        self._moved(self._timeout)
        shown()

    def caught_up(self) -> None:
        """Stop: the history is complete."""
        self._read = True
        self._session.moved()

    def stuck(self, passable: bool) -> None:
        """Ignore it: the next connection gets past it, or as far as possible."""

    def _note(self, text: str) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._say, text)
