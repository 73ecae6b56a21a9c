"""`Departure`: ends a chat. Waits briefly for messages just typed, and reports those that stay unsent."""

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

LEAVE_WITHIN = 0.3  # seconds that leaving waits for messages just typed
NAMED_LINES = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manner:
    """The circumstances that decide how a chat ends."""

    interactive: bool  # there is a terminal, so the user can be asked
    patience: float  # seconds without progress after which a chat in a pipe stops waiting for the server
    note: Callable[[str], None]  # shows a notice
    connection: Callable[[], str]  # describes the connection's state
    place: str  # the address that messages go to


class Departure:
    """Ends one chat, once. Event-loop thread only."""

    def __init__(self, manner: Manner, writer: Writer, outbox: OutboxThread, screen: Screen) -> None:
        """Create it in the task that runs the chat."""
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
        """Whether the chat is ending."""
        return self._task is not None

    @property
    def is_certain(self) -> bool:
        """Whether it is ending and the user won't be asked whether to stay."""
        return self.begun and not self._may_stay

    def leave(self, *, ask: bool = False, code: int = 0) -> None:
        """Leave after waiting briefly for messages just typed; with ``ask``, stay the first time if any is unsent."""
        if self._task and ask:
            return
        # A signal overrides the pending "leave?" question.
        self._may_stay, self.code = ask and self._manner.interactive, code
        if not self._task:
            self._by = self._loop.time() + (LEAVE_WITHIN if self._is_quick else self._manner.patience)
            self._task = watched(self._leave())

    def hurry(self, code: int) -> None:
        """Leave because of a signal: wait only LEAVE_WITHIN, in a pipe too."""
        self._hurried = True
        self._by = min(self._by, self._loop.time() + LEAVE_WITHIN)
        self._news.set()
        if self._task and self._task.done():
            self._screen.close(LEAVE_WITHIN)  # waiting only for a pipe's reader
        else:
            self.leave(code=code)

    def fail(self, error: BaseException) -> None:
        """Leave because of ``error``; at the second error, immediately."""
        if self.failure is None:
            self.failure = log_file.our_fault(error)
            self.hurry(self.failure.exit_code)
        elif self._chat:
            self._chat.cancel()

    def refuse(self, error: StreamcliError) -> None:
        """Leave because the server refuses us and there is no user to fix that."""
        self.failure = self.failure or error
        self.hurry(error.exit_code)

    def news(self) -> None:
        """Check again: a message was acknowledged, read back or given up."""
        self._news.set()

    def typed_more(self) -> None:
        """Ask again when leaving: there may be new unsent messages."""
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
            self._manner.note(f"Not sent: {named(unsent)}. Leave again to quit without sending.")
            self._asked, self._task = True, None
            return
        try:
            if unsent:
                self._name_unsent(unsent, kept)
                await asyncio.sleep(0)  # let it be drawn while the prompt still exists
        finally:
            self._screen.close(LEAVE_WITHIN if self._hurried else None)

    async def _until_sent(self) -> None:
        """Wait for the acknowledgement of messages just typed; in a pipe, until all are read back."""
        before = 0
        while left := len(self._writer.unsent if self._manner.interactive else self._writer.unconfirmed):
            now = self._loop.time()
            if left != before and not self._is_quick:
                self._by = now + self._manner.patience  # much input takes long: only time without progress counts
            if now >= self._by:
                return
            before = left
            self._news.clear()
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._by - now)

    def _name_unsent(self, entries: Sequence[Entry], kept: bool) -> None:
        text = f"Not sent{' yet' if kept else ''}: {named(entries)}."
        if kept:
            them = "it" if len(entries) == 1 else "them"
            text += f" The next start with {self._manner.place} will send {them}."
        _log.warning("%s", text)
        if self._manner.interactive or self.code:
            self._manner.note(text)
        elif not self.failure:
            self.failure = Unreachable(f"{text} Still {self._manner.connection()}.")


def named(entries: Sequence[Entry]) -> str:
    """Quote the first few of ``entries`` and count the others."""
    more = f" and {len(entries) - NAMED_LINES} more" if len(entries) > NAMED_LINES else ""
    return ", ".join(f"“{clean_line(entry.text())}”" for entry in entries[:NAMED_LINES]) + more
