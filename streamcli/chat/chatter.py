"""`Chatter`: one user's chat. Owns a Reader and a Writer, and shows what arrives."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import random
import signal
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from streamcli import commands
from streamcli.chat.departure import Departure, Manner, named
from streamcli.chat.incoming import Incoming
from streamcli.chat.queries import QueryCommands
from streamcli.chat.sharing import SharingCommands
from streamcli.chat.status_line import StatusLine
from streamcli.commands import Context, Query, Quit, Send, Share, Show, UsageHint
from streamcli.config import Settings, wants_colour, zone_trouble
from streamcli.log.api import ConnectionStatus, ReadMode, Target
from streamcli.log.reader import Reader
from streamcli.log.session import LogSession
from streamcli.log.writer import Writer
from streamcli.model.event import Entry
from streamcli.model.message import Ids, Message, TooLong, clock_trouble, replace_surrogates
from streamcli.storage.directories import Places, address_key, place_of
from streamcli.storage.history_queries import HistoryQueries
from streamcli.storage.outbox_thread import OutboxThread
from streamcli.storage.recorder import Recorder
from streamcli.system import guard, log_file
from streamcli.system.clock import Clock
from streamcli.system.paths import state_dir
from streamcli.system.signals import on_signal
from streamcli.ui import Screen
from streamcli.ui.render import MessageStyle
from streamcli.ui.sanitiser import clean_line
from streamcli.ui.scrollback import Scroll
from streamcli.views.timeline import SHOWN_AT_START

PENDING_SHOWN_AFTER = 0.1  # seconds: most messages are read back sooner, and a flickering line disturbs
WHOLE = "/history shows all"

_log = logging.getLogger(__name__)


class Chatter:
    """One terminal's chat, from start to exit code. Everything here runs in the main thread's loop."""

    def __init__(self, settings: Settings, target: Target, clock: Clock) -> None:
        """Chat on the log ``target``. Raises CannotCreate or FileTrouble when our own folders can't be written."""
        self._settings = settings
        self._interactive = os.isatty(0) and os.isatty(1) and os.environ.get("TERM") not in (None, "dumb")
        whole = WHOLE if self._interactive else ""
        self._style = MessageStyle(settings.user, self._interactive and wants_colour(), room=settings.room, whole=whole)
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        ids = Ids(clock.milliseconds, clock.random_bytes)
        places, address = Places(settings.user), address_key(settings.where, settings.stream)
        self._place = f"the chat {settings.gate.name}" if settings.gate else place_of(address)
        self._outbox = OutboxThread(places, address, self.note, clock)
        self._status = StatusLine(self._place, clock.monotonic, self._loop.call_later, self._say_trouble)
        self._session = LogSession(target, settings.timeout, self._status_changed, clock)
        self._recorder = Recorder(places, address, lambda text: self._loop.call_soon_threadsafe(self.note, text))
        cursor, self._shown_at_start = self._recorder.resume(SHOWN_AT_START)
        log, now = self._session.log, clock.monotonic
        self._screen = self._make_screen()
        self._writer = Writer(log, settings.user, settings.room, ids, clock, self._outbox, self)
        scroll = Scroll(self._style, self._screen, clock.today(), self._loop.call_later)
        self._incoming = Incoming(self._writer, scroll, self._screen, self._style, clock, self)
        known = self._incoming.own_unread_since
        self._reader = Reader(log, ReadMode.FOLLOW, self._incoming, self._recorder, known, cursor, now)
        self._history = HistoryQueries(lambda: self._recorder.path, clock.monotonic)
        self._queries = QueryCommands(self._history, self._outbox, self._writer, self._style, self._answer)
        self._sharing = SharingCommands(settings, self._answer)
        self._context = Context(random.choice)
        manner = Manner(self._interactive, settings.timeout, self.note, self._connection, self._place)
        self._departure = Departure(manner, self._writer, self._outbox, self._screen)

    async def run(self) -> int:
        """Chat until the user leaves; return the exit code. Restores the terminal and leaves no process behind."""
        guard.on_error(self._unforeseen)
        self._incoming.resume(self._shown_at_start)
        self._shown_at_start = []
        for trouble in filter(None, (zone_trouble(), clock_trouble(self._clock.now()), self._caveat())):
            self.note(trouble)
        ticking = guard.watched(self._tick())
        for number in (signal.SIGTERM, signal.SIGHUP):
            on_signal(number, self._departure.hurry, 0)
        on_signal(signal.SIGINT, self._departure.hurry, 130)
        try:
            async with self._session:
                await self._until_left()
        except asyncio.CancelledError:
            if not self._departure.failure:
                raise
        finally:
            ticking.cancel()
            self._history.close()
            self._outbox.close()
            self._reader.close()
        if self._departure.failure:
            raise self._departure.failure
        return self._departure.code

    def _caveat(self) -> str:
        if self._settings.where or not self._interactive:
            return ""
        from streamcli import server  # late: a chat on another server does without it

        return server.caveat()

    async def _until_left(self) -> None:
        try:
            with log_file.shown_by(lambda text: self._loop.call_soon_threadsafe(self.note, text)):
                await self._screen.run()
        except (EOFError, OSError) as error:
            await self._terminal_is_gone(error)

    # Implements streamcli.ui.ScreenDelegate.

    def status(self) -> str:
        """Return the bottom line."""
        count = len(self.pending())
        return (f"{count} pending · " if count else "") + self._connection()

    def pending(self) -> Sequence[Message]:
        """Return the messages to show above the prompt: those that have waited for a moment."""
        before = self._clock.monotonic() - PENDING_SHOWN_AFTER
        return [entry.message for entry in self._writer.unconfirmed if entry.typed <= before]

    def people(self) -> Sequence[str]:
        """Return the names of those who have spoken, the most recent last."""
        names = (unicodedata.normalize("NFC", name) for name in self._incoming.timeline.people)
        return list(dict.fromkeys(clean_line(name) for name in names if name != self._settings.user))

    def typed(self, line: str) -> None:
        """Execute ``line``: send it or run its command."""
        if self._departure.is_certain:
            return
        action = commands.parse(line, self._context)
        if isinstance(action, Send):
            self._send(action)
        elif isinstance(action, Show):
            self.note("\n".join(action.lines))
        elif isinstance(action, UsageHint):
            self.note(action.text)
        elif isinstance(action, Quit):
            self.leave(ask=True)
        elif isinstance(action, Query):
            self._queries.ask(action)
        elif isinstance(action, Share):
            self._sharing.run(action)

    def pasted(self, lines: Sequence[str]) -> None:
        """Send ``lines`` as text, even if they begin like commands."""
        for line in lines:
            if not self._departure.is_certain:
                self._send(Send("chat", replace_surrogates(line)))

    def note(self, text: str) -> None:
        """Show a message of the program in its subdued style."""
        self._screen.note(self._style.note(text))

    def _answer(self, text: str) -> None:
        """Show an answer uncut: it was already cut where necessary."""
        self._screen.note(replace(self._style, whole="").note(text))

    def leave(self, *, ask: bool = False, code: int = 0) -> None:
        """Leave, after a moment for what was just typed; with ``ask`` stay once if something is unsent."""
        self._departure.leave(ask=ask, code=code)

    # Implements streamcli.chat.incoming.Tells and streamcli.log.writer.Owner.

    def more_came(self) -> None:
        """Index new messages when there is time."""
        self._history.more_came()

    def acknowledged(self) -> None:
        """Check again whether leaving is complete: a message is in the log, or no longer awaited."""
        self._departure.news()

    def refused(self, entries: Sequence[Entry]) -> None:
        """Report messages that will never be sent."""
        self.note(f"Not sent: {named(entries)}: {entries[0].reason}. /retry sends once more, /drop forgets.")
        self.acknowledged()

    def stream_gone(self) -> None:
        """Replace the reader's connection."""
        self._reader.connection.replace()

    def _make_screen(self) -> Screen:
        if self._interactive:
            from streamcli.ui.prompt import PromptScreen

            return PromptScreen(self._style, self, state_dir() / "typed", self._clock.monotonic)
        from streamcli.ui.plain import PlainScreen

        return PlainScreen(self)

    def _send(self, action: Send) -> None:
        try:
            self._writer.send(action.kind, action.text)
        except TooLong as error:
            self.note(f"Not sent: {error}")
            return
        self._departure.typed_more()
        self._loop.call_later(PENDING_SHOWN_AFTER, self._screen.refresh)

    def _connection(self) -> str:
        return self._status.words(self._incoming.timeline.live, self._reader.progress)

    def _status_changed(self, status: ConnectionStatus) -> None:
        refusal = status.refusal
        # A person can wait for a right. For another Java, or a jar, the program has to be started again.
        if refusal and not (self._interactive and (self._status.was_connected or not status.unusable)):
            self._departure.refuse(refusal)
        else:
            self._status.changed(status)
        self._screen.refresh()

    def _say_trouble(self, text: str) -> None:
        if not self._departure.begun:  # the messages on leaving name the trouble too
            self.note(text)

    async def _tick(self) -> None:
        """Update the seconds in the bottom line while it shows any."""
        while True:
            await asyncio.sleep(1)
            if self._status.counts_seconds or not self._incoming.timeline.live:
                self._screen.refresh()

    def _unforeseen(self, error: BaseException) -> None:
        if self._interactive and isinstance(error, OSError) and error.errno == errno.EIO:
            self._departure.hurry(0)  # the window was closed in the middle of drawing
        else:
            self._departure.fail(error)

    async def _terminal_is_gone(self, error: BaseException) -> None:
        """Handle a closed window: what was just typed still gets its moment, and nothing more can be drawn."""
        _log.warning("the terminal is gone: %r", error)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):  # so that the interpreter's last flush raises no error
            os.dup2(nowhere, number)
        self._departure.hurry(0)
        await self._departure.completed()
