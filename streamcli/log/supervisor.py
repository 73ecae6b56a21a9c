"""Starts, watches, kills and replaces the two workers, and says how well the server is.

The client library can freeze, panic or quietly bring nothing more. So a worker is started only when a plain socket
finds the server well, must give signs of life, and is replaced when it gives none while the server is well. While the
server itself is silent nothing is done: both workers go on by themselves when it comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import IO, Any, NamedTuple

from streamcli.errors import NotPermitted, Unreachable
from streamcli.log.frames import Frame, unpack_json
from streamcli.log.process import WorkerProcess
from streamcli.log.wheel.probe import Answer, probe, worded
from streamcli.model.address import Controller, Stream
from streamcli.system.guard import report

TICK = 1.0
TICK_WHEN_DOWN = 0.5
TICK_WHEN_REFUSED = 5.0  # nothing changes until a person changes it, and each try costs the server a slow hash
PROBE_TIMEOUT = 1.5
OPEN_WITHIN = 8.0  # seconds for a worker to open the stream before it counts as overdue
OPEN_WITHIN_AT_MOST = 32.0  # after others were replaced for that: on a slow server the next one gets twice as long
OVERDUE_AFTER = 3.0  # seconds without a sign that is due
GOOD_PROBES = 4  # in a row before an overdue worker is replaced
BACK_OFF = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds before the next start, by failures in a row
LIVED = 1.0  # seconds after opening from which on the end of a worker is no failure of its start
END_WITHIN = 0.3  # seconds to wait for killed workers when the program leaves

_log = logging.getLogger(__name__)


class Phase(Enum):
    """How the connection is."""

    CONNECTING = "connecting"
    LIVE = "connected"
    STALLED = "waiting"


@dataclass(frozen=True)
class ConnectionStatus:
    """The connection's state for the bottom line."""

    phase: Phase
    words: str = ""
    since: float = 0.0  # monotonic seconds
    refused: bool = False  # trying again is of no use: account, right or certificate are not as they should be

    @property
    def refusal(self) -> NotPermitted | None:
        """The error of who does not wait for a person to change that."""
        return NotPermitted(f"{self.words[0].upper()}{self.words[1:]}.") if self.refused else None


class Failure(NamedTuple):
    """Why there is no connection, in words; ``final`` when only a person can change it."""

    words: str = ""
    final: bool = False


def pause(failures: int) -> float:
    """Seconds before the next start of a worker after so many failed starts in a row."""
    return BACK_OFF[min(failures, len(BACK_OFF)) - 1] if failures else 0.0


class WorkerSlot:
    """One worker's place: whoever lives in it is replaced when it ends or stands still."""

    def __init__(
        self,
        module: str,
        orders: Callable[[], dict[str, Any]],
        on_frame: Callable[[Frame, bytes], None],
        due_since: Callable[[float], float | None],
        on_open: Callable[[dict[str, Any]], None] = lambda fields: None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """Run ``module`` with ``orders()``; frames arrive in a thread, which calls ``settle`` after the last one.

        Only when that has returned the next worker gets its orders: it is where to wait for what was passed on.

        ``on_open`` is called in the loop, in the same step in which ``opened`` becomes true: what is sent when it is
        true comes after all that ``on_open`` sent.
        ``due_since(last_frame)`` tells since when (monotonic) a sign has been due, or None when none is.
        """
        self.module, self._orders, self._on_frame, self._due_since = module, orders, on_frame, due_since
        self._on_open, self._settle = on_open, settle
        self.process: WorkerProcess | None = None
        self.controller: Controller | None = None
        self.opened = False
        self.trouble: dict[str, str] = {}
        self.good_probes = 0
        self.failures = 0
        self.not_before = 0.0
        self._open_within = OPEN_WITHIN
        self._last_frame = 0.0
        self._opened_at = 0.0
        self._given_up = self._gives_way = self._failed_before = False

    def start(self, controller: Controller, log: IO[bytes] | int, wake: Callable[[], None]) -> None:
        """Start a new worker in this lane; it counts as one that failed when the system can't."""
        loop = asyncio.get_running_loop()
        self.controller, self.good_probes, self._opened_at = controller, 0, 0.0
        self.opened = self._given_up = False
        self._last_frame, self._gives_way = time.monotonic(), False

        def arrived(frame: Frame, payload: bytes) -> None:
            self._last_frame = time.monotonic()
            self._gives_way = frame is Frame.STUCK  # it ends so that the next one leads past something: no failure
            if frame is Frame.FAILED:
                self.trouble = unpack_json(payload)
                _log.warning("%s fails: %s", self.module, self.trouble["text"])
            try:
                self._on_frame(frame, payload)
            except Exception as error:
                if self._failed_before:  # a new worker was of no use: the fault is ours
                    report(loop, error)
                self._failed_before = True
                raise
            if frame is Frame.OPENED:
                loop.call_soon_threadsafe(self._open, unpack_json(payload), wake)

        def ended() -> None:
            _log.info("%s has ended", self.module)
            self.process = None
            self._failed(lived=self._gives_way or 0 < self._opened_at <= time.monotonic() - LIVED)
            wake()

        try:
            self.process = WorkerProcess(self.module, controller, self._orders(), log, arrived, ended, self._settle)
            _log.info("%s started as process %d", self.module, self.process.pid)
        except (OSError, RuntimeError) as error:  # no more processes, files, memory or threads
            self.trouble = {"kind": "system", "text": str(error)}
            self._failed(lived=False)

    def _open(self, fields: dict[str, Any], wake: Callable[[], None]) -> None:
        if self._given_up:
            return
        self.opened, self.trouble, self._opened_at = True, {}, time.monotonic()
        self._open_within = OPEN_WITHIN
        _log.info("%s has opened the log: %s", self.module, fields)
        self._on_open(fields)
        wake()

    def _failed(self, lived: bool) -> None:
        """One that had opened and ``lived`` is replaced at once; back-off is for starts that come to nothing."""
        self.opened = False
        self.failures = 0 if lived else self.failures + 1
        self._failed_before = self._failed_before and not lived
        self.not_before = time.monotonic() + pause(self.failures)

    def send(self, frame: bytes) -> None:
        """Pass a frame to the worker if there is one."""
        if self.process:
            self.process.send(frame)

    def overdue(self, now: float) -> bool:
        """Has a sign of life been due for too long?"""
        if not self.process:
            return False
        if not self.opened:
            return now - self._last_frame > self._open_within
        since = self._due_since(self._last_frame)
        return since is not None and now - since > OVERDUE_AFTER

    def replace_overdue(self) -> None:
        """Replace it for giving no sign. Who was only slow in opening must not be followed by others just as slow."""
        if not self.opened:
            self._open_within = min(2 * self._open_within, OPEN_WITHIN_AT_MOST)
        self.replace()

    def replace(self) -> None:
        """Kill the worker that stands still; its end leads to the next one. It counts as open no more."""
        self.opened, self._given_up = False, True
        if self.process:
            _log.info("%s is killed", self.module)
            self.process.kill()


class Supervisor:
    """Keeps all lanes running against the server that ``locate`` names."""

    def __init__(
        self,
        locate: Callable[[], Controller],
        lanes: Sequence[WorkerSlot],
        stream: Stream,
        on_link: Callable[[ConnectionStatus], None],
        log: IO[bytes] | int,
    ) -> None:
        """``locate`` is asked before each start and raises Unreachable, in words for the person, if there is no server.

        All lanes use ``stream``. ``on_link`` is called in the loop whenever the state changes; ``log`` takes what the
        workers say on standard error.
        """
        self._locate, self._lanes, self._stream = locate, lanes, stream
        self._on_link, self._log = on_link, log
        self._link = ConnectionStatus(Phase.CONNECTING, since=time.monotonic())
        self._wake = asyncio.Event()
        self._ending = False

    async def run(self) -> None:
        """Watch until :meth:`kill`; no worker is left then. To cancel alone is not enough: wait_for can swallow it."""
        try:
            while not self._ending:
                self._wake.clear()
                await self._look()
                try:
                    await asyncio.wait_for(self._wake.wait(), self._pause())
                except (asyncio.TimeoutError, TimeoutError):
                    continue
        finally:
            self.kill()
            await self._ended()

    def _pause(self) -> float:
        if self._link.refused:
            return TICK_WHEN_REFUSED
        return TICK if self._link.phase is Phase.LIVE else TICK_WHEN_DOWN

    def kill(self) -> None:
        """End all workers now, for good."""
        self._ending = True
        for lane in self._lanes:
            lane.replace()

    async def _ended(self) -> None:
        """Wait a moment for the killed workers, so that nothing of theirs meets a loop that is closed."""
        end = time.monotonic() + END_WITHIN
        while any(lane.process for lane in self._lanes) and time.monotonic() < end:
            self._wake.clear()
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._wake.wait(), end - time.monotonic())

    async def _look(self) -> None:
        now = time.monotonic()
        missing = [lane for lane in self._lanes if not lane.process and lane.not_before <= now]
        overdue = [lane for lane in self._lanes if lane.overdue(now)]
        for lane in self._lanes:
            if lane not in overdue:
                lane.good_probes = 0  # they count in a row only
        down = Failure()
        if missing or overdue:
            down = await self._care_for(missing, overdue)
        self._say(down, stalled=any(lane.overdue(now) for lane in overdue))

    async def _care_for(self, missing: Sequence[WorkerSlot], overdue: Sequence[WorkerSlot]) -> Failure:
        """Ask the server how it is and act on it; returns why it can't be used, no words when it is well."""
        try:
            controller = self._locate()
        except Unreachable as error:
            return Failure(str(error))
        for lane in self._lanes:
            if lane.process and lane.controller != controller:
                lane.replace()  # the server was started anew, on another port or with another password
        answer = await probe(controller, self._stream, PROBE_TIMEOUT)
        if self._ending:
            return Failure()
        for lane in overdue:
            lane.good_probes = lane.good_probes + 1 if answer is Answer.WELL else 0
            if lane.good_probes >= GOOD_PROBES:
                lane.replace_overdue()
        if answer is not Answer.WELL:
            return Failure(worded(answer, controller, self._stream), answer.final)
        for lane in missing:
            lane.start(controller, self._log, self._wake.set)
        return Failure()

    def _say(self, down: Failure, stalled: bool) -> None:
        failed = next((_failure(lane.trouble) for lane in self._lanes if lane.trouble), Failure())
        last = Failure(self._link.words, self._link.refused)
        if all(lane.opened for lane in self._lanes):
            phase, why = (Phase.STALLED, down) if stalled else (Phase.LIVE, Failure())
        elif not down.words and last.words and any(not lane.process for lane in self._lanes):
            phase, why = Phase.CONNECTING, failed if failed.words else last  # between two tries nothing new is known
        else:
            phase, why = Phase.CONNECTING, down if down.words else failed
        if (phase, why) != (self._link.phase, last):
            since = self._link.since if phase is self._link.phase else time.monotonic()
            self._link = ConnectionStatus(phase, why.words, since, why.final)
            _log.info("%s %s", phase.value, why.words)
            self._on_link(self._link)


def _failure(said: dict[str, str]) -> Failure:
    if said["kind"] == "system":
        return Failure(f"no worker can be started: {said['text']}")
    if said["kind"] == "denied":
        return Failure(said["text"], final=True)
    if said["kind"] == "password":
        return Failure("the server does not accept this account with this password", final=True)
    return Failure(f"the client library failed: {said['text']}")
