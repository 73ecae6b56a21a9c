"""A worker's slot: the worker is replaced when it ends or hangs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import IO, Any

from streamcli.log.channel import Channel, Start, WorkerEvents
from streamcli.log.frames import Frame, Received, unpack_json
from streamcli.model.address import Controller
from streamcli.system.guard import report

_log = logging.getLogger(__name__)


class Life(Enum):
    """The states of a slot."""

    EMPTY = "empty"  # no worker; the next one starts after the back-off
    OPENING = "opening"  # the worker has not opened the stream yet
    OPEN = "open"
    ENDING = "ending"  # killed, or about to end by itself; its last frames are passed on, but it opens nothing


class SlotEvent(Enum):
    """The events of a slot."""

    STARTED = "started"
    OPENED = "opened"  # the worker has opened the stream
    REPLACED = "replaced"  # the worker is to be replaced
    ENDED = "ended"  # the worker is gone, or could not be started


# Combinations that are missing here change nothing.
TRANSITIONS: dict[tuple[Life, SlotEvent], Life] = {
    (Life.EMPTY, SlotEvent.STARTED): Life.OPENING,
    (Life.OPENING, SlotEvent.OPENED): Life.OPEN,
    (Life.OPENING, SlotEvent.REPLACED): Life.ENDING,
    (Life.OPEN, SlotEvent.REPLACED): Life.ENDING,
    (Life.OPENING, SlotEvent.ENDED): Life.EMPTY,
    (Life.OPEN, SlotEvent.ENDED): Life.EMPTY,
    (Life.ENDING, SlotEvent.ENDED): Life.EMPTY,
}


@dataclass(frozen=True)
class Timing:
    """How patient a slot is with its worker; in seconds, except ``good_probes``."""

    open_within: float = 8.0  # for a worker to open the stream before it counts as overdue
    open_within_at_most: float = 32.0  # limit after such replacements: on a slow server the next gets twice the time
    overdue_after: float = 3.0  # without a heartbeat that is due
    good_probes: int = 4  # in a row before an overdue worker is replaced
    back_off: tuple[float, ...] = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)  # before the next start, by successive failures
    lived: float = 1.0  # open: a worker that ends later than this did not fail to start

    def pause(self, failures: int) -> float:
        """Return the seconds before the next start after ``failures`` failed starts in a row."""
        return self.back_off[min(failures, len(self.back_off)) - 1] if failures else 0.0


class WorkerSlot:
    """Runs one worker after another. All calls are for the loop's thread."""

    def __init__(
        self,
        name: str,
        start: Start,
        on_frame: Callable[[Received], None],
        due_since: Callable[[float], float | None],
        on_open: Callable[[dict[str, Any]], None] = lambda fields: None,
        on_last: Callable[[], None] = lambda: None,
        timing: Timing = Timing(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``start`` starts a worker; its frames arrive in a thread, which calls ``on_last`` after the last one.

        The next worker starts only after ``on_last`` has returned: it can wait there until all frames are processed.

        ``on_open`` is called in the loop, in the same step in which ``opened`` becomes true: frames that it sends
        precede all frames of callers that check ``opened``.
        ``due_since(last_frame)`` returns since when (by ``now``) a heartbeat has been due, or None when none is.
        """
        self.name, self._start, self._on_frame, self._due_since = name, start, on_frame, due_since
        self._on_open, self._on_last, self._timing, self._now = on_open, on_last, timing, now
        self.life = Life.EMPTY
        self.lives = 0  # number of workers started
        self.worker: Channel | None = None
        self.controller: Controller | None = None
        self.trouble: dict[str, str] = {}
        self.good_probes = 0
        self.failures = 0
        self.not_before = 0.0
        self._open_within = timing.open_within
        self._last_frame = 0.0
        self._opened_at: float | None = None
        self._gives_way = self._failed_before = False

    @property
    def opened(self) -> bool:
        """Whether the worker has the stream open."""
        return self.life is Life.OPEN

    @property
    def may_start(self) -> bool:
        """Whether a worker is missing and its back-off is over."""
        return self.life is Life.EMPTY and self.not_before <= self._now()

    @property
    def is_overdue(self) -> bool:
        """Whether a heartbeat has been due for too long."""
        if self.life is Life.EMPTY:
            return False
        if self.life is not Life.OPEN:
            return self._now() - self._last_frame > self._open_within
        since = self._due_since(self._last_frame)
        return since is not None and self._now() - since > self._timing.overdue_after

    def start(self, controller: Controller, log: IO[bytes] | int, wake: Callable[[], None]) -> None:
        """Start a worker; if the system can't, that counts as a failed worker."""
        loop = asyncio.get_running_loop()
        self.controller, self.good_probes, self._opened_at = controller, 0, None
        self._last_frame, self._gives_way = self._now(), False
        self.lives += 1
        self._happened(SlotEvent.STARTED)

        def arrived(received: Received) -> None:
            self._last_frame = self._now()
            self._gives_way = received.kind is Frame.STUCK  # ends so that the next one gets past an event: no failure
            if received.kind is Frame.FAILED:
                self.trouble = unpack_json(received.payload)
                _log.warning("%s fails: %s", self.name, self.trouble["text"])
            try:
                self._on_frame(received)
            except Exception as error:
                if self._failed_before:  # a new worker did not help: the fault is ours
                    report(loop, error)
                self._failed_before = True
                raise
            if received.kind is Frame.OPENED:
                loop.call_soon_threadsafe(self._open, unpack_json(received.payload), wake)

        def ended() -> None:
            _log.info("%s has ended", self.name)
            self.worker = None
            self._ended(lived=self._gives_way or self._has_lived())
            wake()

        try:
            self.worker = self._start(controller, log, WorkerEvents(arrived, ended, self._on_last))
            _log.info("%s started in process %d", self.name, self.worker.pid)
        except (OSError, RuntimeError) as error:  # no more processes, files, memory or threads
            self.trouble = {"kind": "system", "text": str(error)}
            self._ended(lived=False)

    def send(self, frame: bytes) -> None:
        """Send a frame to the worker if there is one."""
        if self.worker:
            self.worker.send(frame)

    def probed(self, well: bool) -> None:
        """Record a probe while the worker is overdue; replace the worker after enough good probes."""
        self.good_probes = self.good_probes + 1 if well else 0
        if self.good_probes < self._timing.good_probes:
            return
        if not self.opened:
            # A worker that only opens slowly must not be replaced by others just as slow.
            self._open_within = min(2 * self._open_within, self._timing.open_within_at_most)
        self.replace()

    def replace(self) -> None:
        """Kill the worker, so that the next one starts. It no longer counts as open."""
        self._happened(SlotEvent.REPLACED)
        if self.worker:
            _log.info("%s is killed", self.name)
            self.worker.kill()

    def _open(self, fields: dict[str, Any], wake: Callable[[], None]) -> None:
        if not self._happened(SlotEvent.OPENED):
            return
        self.trouble, self._opened_at, self._open_within = {}, self._now(), self._timing.open_within
        _log.info("%s has opened the log: %s", self.name, fields)
        self._on_open(fields)
        wake()

    def _has_lived(self) -> bool:
        return self._opened_at is not None and self._now() - self._opened_at >= self._timing.lived

    def _ended(self, lived: bool) -> None:
        """Replace a worker that had opened and ``lived`` at once; back-off is for failed starts."""
        self._happened(SlotEvent.ENDED)
        self.failures = 0 if lived else self.failures + 1
        self._failed_before = self._failed_before and not lived
        self.not_before = self._now() + self._timing.pause(self.failures)

    def _happened(self, event: SlotEvent) -> bool:
        """Go to the next state; False when ``event`` changes nothing."""
        after = TRANSITIONS.get((self.life, event))
        if after is not None:
            self.life = after
        return after is not None
