"""`LogSession`: runs a log for one command and implements ``--timeout``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from streamcli.errors import NoSuchStream, StreamcliError, Unreachable
from streamcli.log.api import ConnectionStatus, Phase, Target
from streamcli.log.opening import open_log
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.guard import watched

ENDS_WITHIN = 0.5  # seconds to wait at the end for killed workers


class LogSession:
    """Runs a log beside the command that uses it, in an ``async with``. All calls are for the loop's thread.

    An error in any of the log's tasks ends the command (`streamcli.system.guard`).
    """

    def __init__(
        self,
        target: Target,
        timeout: float,
        on_status: Callable[[ConnectionStatus], None] = lambda status: None,
        clock: Clock = SYSTEM,
        must_exist: bool = False,
    ) -> None:
        """:meth:`until` gives up after ``timeout`` seconds without any progress.

        With ``must_exist`` it also gives up when the stream does not exist; otherwise a connection is about to make it.
        ``on_status`` is called in the loop whenever the connection's status changes.
        """
        self._target, self._timeout, self._tell, self._now = target, timeout, on_status, clock.monotonic
        self._must_exist = must_exist
        self.log = open_log(target, self._on_status, clock)
        self.status = ConnectionStatus(Phase.CONNECTING, since=self._now())
        self._moved = self._now()
        self._news = asyncio.Event()
        self._running: asyncio.Task[object] | None = None
        self._failure: StreamcliError | None = None
        self.loop = asyncio.get_running_loop()

    async def __aenter__(self) -> LogSession:
        self.moved()
        self._running = watched(self.log.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.log.kill()
        if self._running:
            self._running.cancel()
            await asyncio.wait([self._running], timeout=ENDS_WITHIN)
        self.log.close()

    def moved(self) -> None:
        """Record progress: an event, an acknowledgement, or an opened connection."""
        self._moved = self._now()
        self._news.set()

    def fail(self, error: StreamcliError) -> None:
        """Have :meth:`until` raise ``error``."""
        self._failure = error
        self._news.set()

    async def until(self, done: Callable[[], bool], forever: Callable[[], bool] = lambda: False) -> None:
        """Wait until ``done()``, checked after each :meth:`moved`; without a time limit while ``forever()``.

        Raises NotPermitted when the server refuses us, Unusable when the log's client can't be used on this machine,
        NoSuchStream when a stream that must exist does not, and Unreachable when there was no progress for the timeout.
        """
        while not done():
            left = self._timeout
            if not forever():
                self._check()
                left = self._moved + self._timeout - self._now()
            await self.news_within(left)

    def _check(self) -> None:
        if self._failure:
            raise self._failure
        if self.status.refusal:
            raise self.status.refusal
        if self.status.missing and self._must_exist:
            raise NoSuchStream(f"The stream {self._target.stream} does not exist on that server.")
        if self._moved + self._timeout <= self._now():
            why = (self.status.words or "no answer").rstrip(".")
            raise Unreachable(f"Gave up after {self._timeout:g} s: {why}.")

    async def news_within(self, seconds: float) -> None:
        """Wait for progress or a status change, at most ``seconds``."""
        # Not wait_for(): before Python 3.12 it loses a Ctrl-C that arrives at the same moment as the news.
        self._news.clear()
        timer = self.loop.call_later(seconds, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()

    def _on_status(self, status: ConnectionStatus) -> None:
        self.status = status
        self._news.set()
        self._tell(status)
