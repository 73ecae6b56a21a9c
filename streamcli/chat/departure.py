"""`Departure`: how a chat ends. What was just typed gets a moment, and what stays unsent is named."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamcli.errors import StreamcliError, Unreachable
from streamcli.log.writer import Writer
from streamcli.model.event import Entry
from streamcli.storage.outbox_thread import OutboxThread
from streamcli.system import log_file
from streamcli.system.guard import watched
from streamcli.ui import Screen
from streamcli.ui.sanitiser import clean_line

LEAVE_WITHIN = 0.3  # seconds that leaving waits for what was just typed
NAMED_LINES = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manner:
    """What decides how one chat may end."""

    interactive: bool  # somebody sits at a terminal and can be asked
    patience: float  # seconds without any progress that the end of a pipe waits for a server
    note: Callable[[str], None]  # says something to the person
    connection: Callable[[], str]  # how the connection is
    place: str  # where messages go


class Departure:
    """Ends one chat, once. All calls are for the loop's thread."""

    def __init__(self, manner: Manner, writer: Writer, outbox: OutboxThread, screen: Screen) -> None:
        """Begin in the task that runs the chat."""
        self._manner, self._writer, self._outbox, self._screen = manner, writer, outbox, screen
        self._loop = asyncio.get_running_loop()
        self._chat = asyncio.current_task()
        self._task: asyncio.Task[object] | None = None
        self._by = 0.0  # the loop's time
        self._may_stay = self._asked = self._hurried = False
        self._news = asyncio.Event()
        self.failure: StreamcliError | None = None
        self.code = 0

    @property
    def begun(self) -> bool:
        """Is the chat on its way out?"""
        return self._task is not None

    @property
    def is_certain(self) -> bool:
        """Is it, without asking whether to stay?"""
        return self.begun and not self._may_stay

    def leave(self, *, ask: bool = False, code: int = 0) -> None:
        """Go, after a moment for what was just typed; with ``ask`` stay once if something is unsent."""
        if self._task and ask:
            return
        # Who is told to go while it asks whether to stay does go.
        self._may_stay, self.code = ask and self._manner.interactive, code
        if not self._task:
            self._by = self._loop.time() + (LEAVE_WITHIN if self._is_quick else self._manner.patience)
            self._task = watched(self._leave())

    def hurry(self, code: int) -> None:
        """Go at a signal: there is less time than the end of a pipe gives."""
        self._hurried = True
        self._by = min(self._by, self._loop.time() + LEAVE_WITHIN)
        self._news.set()
        if self._task and self._task.done():
            self._screen.close(LEAVE_WITHIN)  # only the reader of a pipe is waited for
        else:
            self.leave(code=code)

    def fail(self, error: BaseException) -> None:
        """Go because of ``error``; at once if there is another one on the way out."""
        if self.failure is None:
            self.failure = log_file.our_fault(error)
            self.hurry(self.failure.exit_code)
        elif self._chat:
            self._chat.cancel()

    def refuse(self, error: StreamcliError) -> None:
        """Go because the server refuses us and nobody is there to change that."""
        self.failure = self.failure or error
        self.hurry(error.exit_code)

    def news(self) -> None:
        """A message of ours was acknowledged or read back, or nobody waits for it any more."""
        self._news.set()

    def typed_more(self) -> None:
        """There may be something unsent that was not asked about."""
        self._asked = False

    async def completed(self) -> None:
        """Wait until the chat may end."""
        if self._task:
            await self._task

    @property
    def _is_quick(self) -> bool:
        return self._manner.interactive or self._hurried

    async def _leave(self) -> None:
        await self._until_sent()
        unsent = [Entry(entry.message) for entry in self._writer.unsent]
        if unsent:
            await asyncio.wait([asyncio.create_task(self._outbox.settle())], timeout=LEAVE_WITHIN)
        kept = self._outbox.keeps(entry.message.id for entry in unsent)
        if unsent and not kept and self._may_stay and not self._asked:
            self._manner.note(f"Not sent: {named(unsent)}. Leave once more to go without sending.")
            self._asked, self._task = True, None
            return
        try:
            if unsent:
                self._name_unsent(unsent, kept)
                await asyncio.sleep(0)  # it is drawn at the end of this step, and the prompt must still be there
        finally:
            self._screen.close(LEAVE_WITHIN if self._hurried else None)

    async def _until_sent(self) -> None:
        """Wait for what was just typed; of a pipe, until all it brought is in the log and was seen."""
        before = 0
        while left := len(self._writer.unsent if self._manner.interactive else self._writer.unconfirmed):
            now = self._loop.time()
            if left != before and not self._is_quick:
                self._by = now + self._manner.patience  # a long pipe takes long: only standing still counts
            if now >= self._by:
                return
            before = left
            self._news.clear()
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._by - now)

    def _name_unsent(self, entries: Sequence[Entry], kept: bool) -> None:
        text = f"Not sent{' yet' if kept else ''}: {named(entries)}."
        if kept:
            text += f" The next start with {self._manner.place} sends it."
        _log.warning("%s", text)
        if self._manner.interactive or self.code:
            self._manner.note(text)
        elif not self.failure:
            self.failure = Unreachable(f"{text} Still {self._manner.connection()}.")


def named(entries: Sequence[Entry]) -> str:
    """Quote the first few of ``entries`` and count the others."""
    more = f" and {len(entries) - NAMED_LINES} more" if len(entries) > NAMED_LINES else ""
    return ", ".join(f"“{clean_line(entry.text())}”" for entry in entries[:NAMED_LINES]) + more
