"""What watches over the workers, without a server: a worker's pipes, and who is replaced when."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, cast
from unittest.mock import MagicMock

import psutil
import pytest

from streamcli.errors import Unreachable
from streamcli.log.api import ConnectionStatus, Phase
from streamcli.log.channel import WorkerEvents
from streamcli.log.frames import Frame, Received, pack, unpack_count
from streamcli.log.process import WorkerProcess
from streamcli.log.supervisor import WELL, Failure, Supervisor, Tick, asking, status_of
from streamcli.log.worker_slot import TRANSITIONS, Life, SlotEvent, Timing, WorkerSlot
from streamcli.model.address import Controller, Stream
from tests.fake_controller import NO, YES, FakeController, run, until
from tests.fake_worker import FakeRequest

FAKE = "tests.fake_worker"


@pytest.fixture(autouse=True)
def workers_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


# A worker's process.


class OneWorker:
    """One worker process and what it said."""

    def __init__(self, do: str) -> None:
        self.frames: list[Received] = []
        self.ended = 0
        self.process = WorkerProcess(
            FAKE,
            Controller("nowhere", 1),
            FakeRequest(do),
            subprocess.DEVNULL,
            WorkerEvents(self.frames.append, self._end),
        )

    def _end(self) -> None:
        self.ended += 1

    async def end(self) -> None:
        self.process.kill()
        await until(lambda: self.ended)


def test_a_frame_larger_than_any_pipe_arrives_whole() -> None:
    async def main() -> None:
        life = OneWorker("count")
        life.process.send(pack(Frame.WRITE, b"x" * 5_000_000))
        life.process.send(pack(Frame.WRITE, b"y"))
        await until(lambda: len(life.frames) == 3)
        assert [unpack_count(received.payload) for received in life.frames[1:]] == [5_000_000, 1]
        await life.end()

    run(main())


def test_sending_never_waits_for_a_worker_that_does_not_read() -> None:
    async def main() -> None:
        life = OneWorker("read late")
        await until(lambda: life.frames)
        for number in range(100):
            life.process.send(pack(Frame.WRITE, bytes(100_000 + number)))  # a wait here would be for ever
        assert len(life.frames) == 1
        os.kill(life.process.pid, signal.SIGUSR1)
        await until(lambda: len(life.frames) == 101)
        assert [unpack_count(received.payload) for received in life.frames[1:]] == [100_000 + n for n in range(100)]
        await life.end()

    run(main())


def test_nonsense_from_a_worker_ends_it_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        life = OneWorker("nonsense")
        await until(lambda: life.ended)
        assert not psutil.pid_exists(life.process.pid)

    run(main())
    assert capfd.readouterr() == ("", "")


def test_nothing_is_written_to_a_pipe_whose_number_means_another_file_now(tmp_path: Path) -> None:
    async def main() -> None:
        life = OneWorker("die")
        number = life.process._in
        await until(lambda: life.ended)
        with (tmp_path / "other").open("wb") as other:
            os.dup2(other.fileno(), number)
            life.process.send(pack(Frame.WRITE, b"for nobody"))
            if number != other.fileno():
                os.close(number)
        assert (tmp_path / "other").read_bytes() == b""
        assert life.ended == 1

    run(main())


# Who is replaced, and when.


TICK = Tick(live=0.05, down=0.05)
TIMING = Timing(overdue_after=0.3)
PROBE_TIMEOUT = 0.2


class Watch:
    """A supervisor over fake workers and a fake controller, which is impatient."""

    def __init__(
        self,
        *doings: str,
        due: Callable[[float], float | None] = lambda last: None,
        timing: Timing = TIMING,
        tick: Tick = TICK,
    ) -> None:
        self.controller = FakeController(YES)
        self.links: list[ConnectionStatus] = []
        self.doings = list(doings)
        self.starts: list[list[float]] = [[] for _ in doings]
        self.lanes = [
            WorkerSlot(FAKE, functools.partial(self._start, number), lambda received: None, due, timing=timing)
            for number in range(len(doings))
        ]
        self.supervisor = Supervisor(
            lambda: self.locate(),
            self.lanes,
            asking(Stream(), PROBE_TIMEOUT),
            self.links.append,
            subprocess.DEVNULL,
            tick,
        )

    def _start(self, number: int, to: Controller, log: IO[bytes] | int, events: WorkerEvents) -> WorkerProcess:
        self.starts[number].append(time.monotonic())
        return WorkerProcess(FAKE, to, FakeRequest(self.doings[number], seconds=2.0), log, events)

    def locate(self) -> Controller:
        return Controller("127.0.0.1", self.controller.port)

    def link(self) -> ConnectionStatus:
        return self.links[-1] if self.links else ConnectionStatus(Phase.CONNECTING)

    def pids(self) -> list[int]:
        return [lane.worker.pid for lane in self.lanes if lane.worker]

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Supervisor]:
        async with self.controller.listening():
            task = asyncio.create_task(self.supervisor.run())
            try:
                yield self.supervisor
            finally:
                left = self.pids()
                self.supervisor.kill()
                task.cancel()
                await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None
            assert not any(map(psutil.pid_exists, left))


def test_workers_that_die_are_replaced_and_those_that_fail_wait_longer_each_time() -> None:
    async def main() -> None:
        watch = Watch("count", "die")
        async with watch.watching():
            await until(lambda: len(watch.starts[1]) == 4)
            gaps = [later - earlier for earlier, later in itertools.pairwise(watch.starts[1])]
            assert all(gap >= pause for gap, pause in zip(gaps, TIMING.back_off, strict=False)), gaps
            assert len(watch.starts[0]) == 1
            watch.doings[1] = "count"
            await until(lambda: watch.link().phase is Phase.LIVE)

    run(main())


def test_only_starts_that_come_to_nothing_are_followed_by_a_pause() -> None:
    now = 100.0
    slot = WorkerSlot("worker", MagicMock(), lambda received: None, lambda last: None, now=lambda: now)
    pauses = []
    for lived in (False, False, False, True, False, *[False] * 6, True):
        slot._ended(lived)
        pauses.append(slot.not_before - now)
    assert pauses == pytest.approx([0.0, 0.2, 0.5, 0.0, 0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 0.0])


@pytest.mark.parametrize(
    ("life", "event", "after"),
    [
        (Life.EMPTY, SlotEvent.STARTED, Life.OPENING),
        (Life.EMPTY, SlotEvent.OPENED, Life.EMPTY),
        (Life.EMPTY, SlotEvent.REPLACED, Life.EMPTY),
        (Life.EMPTY, SlotEvent.ENDED, Life.EMPTY),
        (Life.OPENING, SlotEvent.STARTED, Life.OPENING),
        (Life.OPENING, SlotEvent.OPENED, Life.OPEN),
        (Life.OPENING, SlotEvent.REPLACED, Life.ENDING),
        (Life.OPENING, SlotEvent.ENDED, Life.EMPTY),
        (Life.OPEN, SlotEvent.STARTED, Life.OPEN),
        (Life.OPEN, SlotEvent.OPENED, Life.OPEN),
        (Life.OPEN, SlotEvent.REPLACED, Life.ENDING),
        (Life.OPEN, SlotEvent.ENDED, Life.EMPTY),
        (Life.ENDING, SlotEvent.STARTED, Life.ENDING),
        (Life.ENDING, SlotEvent.OPENED, Life.ENDING),  # it was killed before we heard of it
        (Life.ENDING, SlotEvent.REPLACED, Life.ENDING),
        (Life.ENDING, SlotEvent.ENDED, Life.EMPTY),
    ],
)
def test_what_happens_to_a_worker_leads_to_this_state(life: Life, event: SlotEvent, after: Life) -> None:
    assert TRANSITIONS.get((life, event), life) is after


class Still:
    """A slot at one moment."""

    def __init__(self, opened: bool, worker: bool = True, trouble: dict[str, str] | None = None) -> None:
        self.opened, self.worker, self.trouble = opened, worker, trouble or {}


LOST = {"kind": "other", "text": "no luck"}
SAID = Failure("the client library failed: no luck")
DOWN = Failure("the server does not answer")
LIVE, BEFORE = ConnectionStatus(Phase.LIVE), ConnectionStatus(Phase.CONNECTING, "as before")


@pytest.mark.parametrize(
    ("slots", "down", "stalled", "last", "phase", "why"),
    [
        ([Still(True), Still(True)], WELL, False, BEFORE, Phase.LIVE, WELL),
        ([Still(True), Still(True)], DOWN, True, LIVE, Phase.STALLED, DOWN),
        ([Still(True), Still(False)], WELL, False, LIVE, Phase.CONNECTING, WELL),
        ([Still(True), Still(False)], DOWN, False, LIVE, Phase.CONNECTING, DOWN),
        ([Still(True), Still(False, trouble=LOST)], WELL, False, BEFORE, Phase.CONNECTING, SAID),
        ([Still(True), Still(False, trouble=LOST)], DOWN, False, BEFORE, Phase.CONNECTING, DOWN),
        ([Still(True), Still(False, worker=False)], WELL, False, BEFORE, Phase.CONNECTING, Failure("as before")),
        ([Still(True), Still(False, worker=False, trouble=LOST)], WELL, False, BEFORE, Phase.CONNECTING, SAID),
        ([Still(True), Still(False)], WELL, False, BEFORE, Phase.CONNECTING, WELL),
    ],
)
def test_the_status_says_what_is_known_best(
    slots: list[Still], down: Failure, stalled: bool, last: ConnectionStatus, phase: Phase, why: Failure
) -> None:
    assert status_of(cast(list[WorkerSlot], slots), down, stalled, last) == (phase, why)


def test_a_worker_that_had_opened_and_lived_is_replaced_at_once_however_often() -> None:
    async def main() -> None:
        watch = Watch("count", timing=replace(TIMING, lived=0.0))
        async with watch.watching():
            for kill in range(1, 8):
                # Not the link: it is still that of the worker before when the next one has just been started.
                await until(lambda: watch.lanes[0].opened and len(watch.starts[0]) == kill)  # noqa: B023
                process = watch.lanes[0].worker
                assert process and watch.lanes[0].failures == 0
                process.kill()
                await until(lambda: len(watch.starts[0]) == kill + 1)  # noqa: B023
                assert watch.lanes[0].failures == 0

    run(main())


def test_a_worker_that_says_why_it_fails_is_quoted() -> None:
    async def main() -> None:
        watch = Watch("fail")
        async with watch.watching():
            await until(lambda: "no luck" in watch.link().words)
            watch.doings[0] = "count"
            await until(lambda: watch.link() == ConnectionStatus(Phase.LIVE, since=watch.link().since))

    run(main())


def test_no_worker_is_started_on_a_server_that_refuses_us() -> None:
    async def main() -> None:
        watch = Watch("count", tick=replace(TICK, refused=0.3))
        watch.controller.says = NO
        async with watch.watching():
            await until(lambda: watch.link().refused)
            refusal = watch.link().refusal
            assert refusal and str(refusal).startswith("The server asks for an account: ")
            begun = time.monotonic()
            watch.controller.says = YES
            await until(lambda: watch.link() == ConnectionStatus(Phase.LIVE, since=watch.link().since))
            assert time.monotonic() - begun > 0.2  # it was not asked again at once
            assert len(watch.starts[0]) == 1

    run(main())


def test_a_frozen_worker_is_replaced() -> None:
    async def main() -> None:
        watch = Watch("beat", due=lambda last: last)
        async with watch.watching():
            await until(lambda: watch.link().phase is Phase.LIVE)
            (frozen,) = watch.pids()
            os.kill(frozen, signal.SIGSTOP)
            await until(lambda: not psutil.pid_exists(frozen))
            await until(lambda: watch.link().phase is Phase.LIVE and watch.pids() not in ([], [frozen]))

    run(main())


def test_on_a_slow_server_each_worker_gets_longer_to_open_than_the_one_before() -> None:
    async def main() -> None:
        watch = Watch("open slowly", timing=replace(TIMING, open_within=0.3))
        async with watch.watching():
            await until(lambda: watch.link().phase is Phase.LIVE)
            assert 2 <= len(watch.starts[0]) <= 5, "each is replaced, until one has the time that it takes"

    run(main())


def test_nobody_is_replaced_while_the_server_is_silent() -> None:
    async def main() -> None:
        watch = Watch("beat", due=lambda last: last)
        async with watch.watching():
            await until(lambda: watch.link().phase is Phase.LIVE)
            before = watch.pids()
            watch.controller.says = None
            os.kill(before[0], signal.SIGSTOP)  # as if it heard nothing from the server
            await until(lambda: watch.link().phase is Phase.STALLED and "does not answer" in watch.link().words)
            await asyncio.sleep(2 * TIMING.good_probes * (PROBE_TIMEOUT + TICK.live))
            assert watch.pids() == before
            os.kill(before[0], signal.SIGCONT)
            watch.controller.says = YES
            await until(lambda: watch.link().phase is Phase.LIVE)
            assert watch.pids() == before

    run(main())


def test_good_probes_count_in_a_row_only() -> None:
    async def main() -> None:
        due: list[float | None] = [None]
        watch = Watch("count", due=lambda last: due[0])
        supervisor = watch.supervisor
        async with watch.controller.listening():
            await supervisor._look()
            await until(lambda: watch.lanes[0].opened)
            before = watch.pids()
            for looks, since in ((3, 0.0), (1, None), (3, 0.0)):
                due[0] = since
                for _ in range(looks):
                    await supervisor._look()
            await asyncio.sleep(0.1)  # in which the end of a killed worker would be heard of
            assert watch.pids() == before
            assert watch.lanes[0].opened
            await supervisor._look()  # the fourth in a row
            await until(lambda: not watch.pids())

    run(main())


def test_a_start_that_the_system_refuses_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError("Resource temporarily unavailable")

    async def main() -> None:
        watch = Watch("count")
        with monkeypatch.context() as patched:
            patched.setitem(globals(), "WorkerProcess", refuse)  # what Watch starts
            async with watch.watching():
                await until(lambda: "no worker can be started: Resource" in watch.link().words)
                patched.undo()
                await until(lambda: watch.link().phase is Phase.LIVE)

    run(main())


def test_a_server_that_comes_back_elsewhere_is_followed() -> None:
    async def main() -> None:
        watch, elsewhere = Watch("count", "count"), FakeController(YES)
        where: list[Controller | str] = ["The server was stopped on purpose."]

        def locate() -> Controller:
            if isinstance(where[0], str):
                raise Unreachable(where[0])
            return where[0]

        watch.locate = locate  # type: ignore[method-assign]
        async with elsewhere.listening() as second, watch.watching():
            await until(lambda: watch.link().words == "The server was stopped on purpose.")
            where[0] = Controller("127.0.0.1", watch.controller.port)
            await until(lambda: watch.link().phase is Phase.LIVE)
            where[0] = second
            os.kill(watch.pids()[0], signal.SIGKILL)
            await until(lambda: [lane.controller for lane in watch.lanes if lane.opened] == [second] * 2)

    run(main())


def test_fifty_replacements_leave_no_file_thread_or_process() -> None:
    me = psutil.Process()

    async def main() -> None:
        watch = Watch("count", timing=replace(TIMING, back_off=(0.0,)))
        async with watch.watching():
            await until(lambda: watch.link().phase is Phase.LIVE)
            before = me.num_fds(), threading.active_count(), len(me.children())  # those of earlier tests may still go
            for _ in range(50):
                (pid,) = watch.pids()
                os.kill(pid, signal.SIGKILL)
                await until(lambda: watch.pids() not in ([], [pid]) and watch.lanes[0].opened)  # noqa: B023
            await until(lambda: watch.link().phase is Phase.LIVE)
            # A connection of a probe may be closing just now.
            await until(
                lambda: (
                    me.num_fds() <= before[0]
                    and threading.active_count() <= before[1]
                    and len(me.children()) <= before[2]
                )
            )

    run(main())
