"""Starts, watches, kills and replaces the workers of a log, and reports the server's state.

The client library can freeze, panic or silently stop delivering. So a worker is started only when a plain socket finds
the server healthy, must send heartbeats, and is replaced when they stop while the server is healthy. While the server
itself is silent nothing is done: the workers continue by themselves when it returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple

from streamcli.errors import Unreachable
from streamcli.log.api import ConnectionStatus, Phase
from streamcli.log.probe import Answer, probe, worded
from streamcli.log.worker_slot import WorkerSlot
from streamcli.model.address import Controller, Stream

PROBE_TIMEOUT = 1.5  # seconds
END_WITHIN = 0.3  # seconds to wait for killed workers when the program exits

_log = logging.getLogger(__name__)


class Failure(NamedTuple):
    """Why there is no connection, as text; ``final`` when only a person can change it."""

    words: str = ""
    final: bool = False
    missing: bool = False  # the stream does not exist
    unusable: bool = False  # the client can't be used on this machine


WELL = Failure()


@dataclass(frozen=True)
class Tick:
    """Seconds between two checks of the workers."""

    live: float = 1.0
    down: float = 0.5
    refused: float = 5.0  # nothing changes until a person acts, and each attempt costs the server a slow hash


class Supervisor:
    """Keeps a worker in every slot, connected to the server that ``locate`` names: to a controller that answers."""

    def __init__(
        self,
        locate: Callable[[], Controller],
        slots: Sequence[WorkerSlot],
        ask: Callable[[Controller], Awaitable[Failure]],
        on_status: Callable[[ConnectionStatus], None],
        log: IO[bytes] | int,
        tick: Tick = Tick(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``locate`` is called before each start; without a server it raises Unreachable with a sentence for the user.

        ``ask`` checks a controller without the client library: it returns WELL or why it can't be used. ``on_status``
        is called in the loop whenever the status changes; ``log`` takes the workers' standard error.
        """
        self._locate, self._slots, self._ask = locate, slots, ask
        self._on_status, self._log, self._tick, self._now = on_status, log, tick, now
        self._status = ConnectionStatus(Phase.CONNECTING, since=now())
        self._wake = asyncio.Event()
        self._ending = False
        self._well: Controller | None = None  # the controller that answered last time

    async def run(self) -> None:
        """Watch until :meth:`kill`; no worker is left then. Cancelling is not enough: wait_for can swallow it."""
        try:
            while not self._ending:
                self._wake.clear()
                await self._look()
                with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._pause())
        finally:
            self.kill()
            await self._ended()

    def _pause(self) -> float:
        if self._status.refused:
            return self._tick.refused
        return self._tick.live if self._status.phase is Phase.LIVE else self._tick.down

    def kill(self) -> None:
        """End all workers permanently."""
        self._ending = True
        self._wake.set()
        for slot in self._slots:
            slot.replace()

    async def _ended(self) -> None:
        """Wait briefly for the killed workers, so that their callbacks don't meet a closed loop."""
        end = self._now() + END_WITHIN
        while any(slot.worker for slot in self._slots) and self._now() < end:
            self._wake.clear()
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._wake.wait(), end - self._now())

    async def _look(self) -> None:
        missing = [slot for slot in self._slots if slot.may_start]
        overdue = [slot for slot in self._slots if slot.is_overdue]
        for slot in self._slots:
            if slot not in overdue:
                slot.good_probes = 0  # only successive good probes count
        down = WELL
        if missing or overdue:
            down = await self._care_for(missing, overdue)
        self._say(down, stalled=any(slot.is_overdue for slot in overdue))

    async def _care_for(self, missing: Sequence[WorkerSlot], overdue: Sequence[WorkerSlot]) -> Failure:
        """Check the server and act on it; return why it can't be used, or WELL."""
        try:
            controller = self._locate()
        except Unreachable as error:
            return Failure(str(error))
        for slot in self._slots:
            if slot.worker and slot.controller not in controller.each:
                slot.replace()  # the server was restarted, on another port or with another password
        well, failure = await self._first_well(controller.each, any(slot.failures for slot in missing))
        if self._ending:
            return WELL
        stuck = [slot for slot in overdue if slot.opened]
        for slot in overdue:
            slot.probed(well=failure == WELL)
        if controller.others and not all(slot.opened for slot in stuck):
            # A cluster may have lost the segment store they all wait for; the others would be found out seconds later.
            for slot in self._slots:
                slot.replace()
        if failure == WELL:
            for slot in missing:
                slot.start(well, self._log, self._wake.set)
        return failure

    async def _first_well(self, each: Sequence[Controller], failed_there: bool) -> tuple[Controller, Failure]:
        """Ask the controllers in turn until one can be used: first the one that answered last time.

        That one comes last if a worker could not be started there: it answers, but may know nothing of the rest.
        """
        first = each.index(self._well) if self._well in each else 0
        first += failed_there and self._well in each
        failed: list[tuple[Controller, Failure]] = []
        for controller in (*each[first:], *each[:first]):
            failure = await self._ask(controller)
            if failure == WELL or self._ending:
                self._well = controller
                return controller, WELL
            failed.append((controller, failure))
        return none_of(failed)

    def _say(self, down: Failure, stalled: bool) -> None:
        phase, why = status_of(self._slots, down, stalled, self._status)
        if (phase, why) != (self._status.phase, _why(self._status)):
            since = self._status.since if phase is self._status.phase else self._now()
            self._status = ConnectionStatus(phase, why.words, since, why.final, why.missing, why.unusable)
            _log.info("%s %s", phase.value, why.words)
            self._on_status(self._status)


def asking(stream: Stream, timeout: float = PROBE_TIMEOUT) -> Callable[[Controller], Awaitable[Failure]]:
    """Return a check, by a plain socket and within ``timeout`` seconds, whether a controller lets us use ``stream``."""

    async def ask(controller: Controller) -> Failure:
        answer = await probe(controller, stream, timeout)
        return WELL if answer is Answer.WELL else Failure(worded(answer, controller, stream), answer.final)

    return ask


def none_of(failed: Sequence[tuple[Controller, Failure]]) -> tuple[Controller, Failure]:
    """Return what to say when no controller can be used: what a person has to change, else what the last one did."""
    controller, failure = next((one for one in failed if one[1].final), failed[-1])
    if len(failed) > 1:
        words = f"{failure.words} ({controller.place}; none of the {len(failed)} controllers can be used)"
        failure = failure._replace(words=words)
    return controller, failure


def status_of(
    slots: Sequence[WorkerSlot], down: Failure, stalled: bool, last: ConnectionStatus
) -> tuple[Phase, Failure]:
    """Return the phase and its reason: the server's answer first, then a worker's error, then ``last``."""
    if all(slot.opened for slot in slots):
        return (Phase.STALLED, down) if stalled else (Phase.LIVE, WELL)
    if down.words:
        return Phase.CONNECTING, down
    failed = next((failure_of(slot.trouble) for slot in slots if slot.trouble), WELL)
    if not failed.words and last.words and any(not slot.worker for slot in slots):
        return Phase.CONNECTING, _why(last)  # between attempts nothing is known
    return Phase.CONNECTING, failed


def _why(status: ConnectionStatus) -> Failure:
    return Failure(status.words, status.refused, status.missing, status.unusable)


def failure_of(said: dict[str, str]) -> Failure:
    """Turn a worker's final error into a Failure."""
    if said["kind"] == "system":
        return Failure(f"no worker can be started: {said['text']}")
    if said["kind"] == "unusable":
        return Failure(said["text"], final=True, unusable=True)
    if said["kind"] == "denied":
        return Failure(said["text"], final=True)
    if said["kind"] == "password":
        return Failure("the server does not accept this account with this password", final=True)
    if said["kind"] == "sealed":
        return Failure("the stream is sealed: nothing can be written to it any more")
    if said["kind"] == "away":
        return Failure("a part of the server is not there")
    return Failure(f"the client library failed: {said['text']}", missing=said["kind"] == "gone")
