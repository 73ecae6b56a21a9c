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
from pathlib import Path
from typing import Any

import psutil
import pytest

from streamcli.errors import Unreachable
from streamcli.log import supervisor as watching
from streamcli.log.frames import Frame, pack, unpack_count
from streamcli.log.process import WorkerProcess
from streamcli.log.supervisor import BACK_OFF, ConnectionStatus, Phase, Supervisor, WorkerSlot
from streamcli.model.address import Controller, Stream
from tests.fake_controller import NO, YES, FakeController, run, until

FAKE = "tests.fake_worker"


@pytest.fixture(autouse=True)
def workers_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


# A worker's process.


class Life:
    """One worker process and what it said."""

    def __init__(self, do: str) -> None:
        self.frames: list[tuple[Frame, bytes]] = []
        self.ended = 0
        self.process = WorkerProcess(
            FAKE,
            Controller("nowhere", 1),
            {"do": do},
            subprocess.DEVNULL,
            lambda *frame: self.frames.append(frame),
            self._end,
        )

    def _end(self) -> None:
        self.ended += 1

    async def end(self) -> None:
        self.process.kill()
        await until(lambda: self.ended)


def test_a_frame_larger_than_any_pipe_arrives_whole() -> None:
    async def main() -> None:
        life = Life("count")
        life.process.send(pack(Frame.WRITE, b"x" * 5_000_000))
        life.process.send(pack(Frame.WRITE, b"y"))
        await until(lambda: len(life.frames) == 3)
        assert [unpack_count(payload) for _, payload in life.frames[1:]] == [5_000_000, 1]
        await life.end()

    run(main())


def test_sending_never_waits_for_a_worker_that_does_not_read() -> None:
    async def main() -> None:
        life = Life("read late")
        await until(lambda: life.frames)
        for number in range(100):
            life.process.send(pack(Frame.WRITE, bytes(100_000 + number)))  # a wait here would be for ever
        assert len(life.frames) == 1
        os.kill(life.process.pid, signal.SIGUSR1)
        await until(lambda: len(life.frames) == 101)
        assert [unpack_count(payload) for _, payload in life.frames[1:]] == [100_000 + n for n in range(100)]
        await life.end()

    run(main())


def test_nonsense_from_a_worker_ends_it_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        life = Life("nonsense")
        await until(lambda: life.ended)
        assert not psutil.pid_exists(life.process.pid)

    run(main())
    assert capfd.readouterr() == ("", "")


def test_nothing_is_written_to_a_pipe_whose_number_means_another_file_now(tmp_path: Path) -> None:
    async def main() -> None:
        life = Life("die")
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


class Watch:
    """A supervisor over fake workers and a fake controller."""

    def __init__(self, *doings: str, due: Callable[[float], float | None] = lambda last: None) -> None:
        self.controller = FakeController(YES)
        self.links: list[ConnectionStatus] = []
        self.doings = list(doings)
        self.starts: list[list[float]] = [[] for _ in doings]
        self.lanes = [
            WorkerSlot(FAKE, functools.partial(self._orders, number), lambda frame, payload: None, due)
            for number in range(len(doings))
        ]

    def _orders(self, number: int) -> dict[str, Any]:
        self.starts[number].append(time.monotonic())
        return {"do": self.doings[number], "seconds": 2.0}

    def locate(self) -> Controller:
        return Controller("127.0.0.1", self.controller.port)

    def link(self) -> ConnectionStatus:
        return self.links[-1] if self.links else ConnectionStatus(Phase.CONNECTING)

    def pids(self) -> list[int]:
        return [lane.process.pid for lane in self.lanes if lane.process]

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Supervisor]:
        supervisor = Supervisor(self.locate, self.lanes, Stream(), self.links.append, subprocess.DEVNULL)
        async with self.controller.listening():
            task = asyncio.create_task(supervisor.run())
            try:
                yield supervisor
            finally:
                left = self.pids()
                supervisor.kill()
                task.cancel()
                await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None
            assert not any(map(psutil.pid_exists, left))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TICK": 0.05, "TICK_WHEN_DOWN": 0.05, "PROBE_TIMEOUT": 0.2, "OVERDUE_AFTER": 0.3}.items():
        monkeypatch.setattr(watching, name, value)


def test_workers_that_die_are_replaced_and_those_that_fail_wait_longer_each_time(impatient: None) -> None:
    async def main() -> None:
        watch = Watch("count", "die")
        async with watch.watching():
            await until(lambda: len(watch.starts[1]) == 4)
            gaps = [later - earlier for earlier, later in itertools.pairwise(watch.starts[1])]
            assert all(gap >= pause for gap, pause in zip(gaps, BACK_OFF, strict=False)), gaps
            assert len(watch.starts[0]) == 1
            watch.doings[1] = "count"
            await until(lambda: watch.link().phase is Phase.LIVE)

    run(main())


def test_only_starts_that_come_to_nothing_are_followed_by_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("streamcli.log.supervisor.time.monotonic", lambda: now)
    lane = WorkerSlot("module", dict, lambda frame, payload: None, lambda last: None)
    pauses = []
    for lived in (False, False, False, True, False, *[False] * 6, True):
        lane._failed(lived)
        pauses.append(lane.not_before - now)
    assert pauses == pytest.approx([0.0, 0.2, 0.5, 0.0, 0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 0.0])


def test_a_worker_that_had_opened_and_lived_is_replaced_at_once_however_often(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LIVED", 0.0)

    async def main() -> None:
        watch = Watch("count")
        async with watch.watching():
            for kill in range(1, 8):
                # Not the link: it is still that of the worker before when the next one has just been started.
                await until(lambda: watch.lanes[0].opened and len(watch.starts[0]) == kill)  # noqa: B023
                process = watch.lanes[0].process
                assert process and watch.lanes[0].failures == 0
                process.kill()
                await until(lambda: len(watch.starts[0]) == kill + 1)  # noqa: B023
                assert watch.lanes[0].failures == 0

    run(main())


def test_a_worker_that_says_why_it_fails_is_quoted(impatient: None) -> None:
    async def main() -> None:
        watch = Watch("fail")
        async with watch.watching():
            await until(lambda: "no luck" in watch.link().words)
            watch.doings[0] = "count"
            await until(lambda: watch.link() == ConnectionStatus(Phase.LIVE, since=watch.link().since))

    run(main())


def test_no_worker_is_started_on_a_server_that_refuses_us(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "TICK_WHEN_REFUSED", 0.3)

    async def main() -> None:
        watch = Watch("count")
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


def test_a_frozen_worker_is_replaced(impatient: None) -> None:
    async def main() -> None:
        watch = Watch("beat", due=lambda last: last)
        async with watch.watching():
            await until(lambda: watch.link().phase is Phase.LIVE)
            (frozen,) = watch.pids()
            os.kill(frozen, signal.SIGSTOP)
            await until(lambda: not psutil.pid_exists(frozen))
            await until(lambda: watch.link().phase is Phase.LIVE and watch.pids() not in ([], [frozen]))

    run(main())


def test_on_a_slow_server_each_worker_gets_longer_to_open_than_the_one_before(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "OPEN_WITHIN", 0.3)

    async def main() -> None:
        watch = Watch("open slowly")
        async with watch.watching():
            await until(lambda: watch.link().phase is Phase.LIVE)
            assert 2 <= len(watch.starts[0]) <= 5, "each is replaced, until one has the time that it takes"

    run(main())


def test_nobody_is_replaced_while_the_server_is_silent(impatient: None) -> None:
    async def main() -> None:
        watch = Watch("beat", due=lambda last: last)
        async with watch.watching():
            await until(lambda: watch.link().phase is Phase.LIVE)
            before = watch.pids()
            watch.controller.says = None
            os.kill(before[0], signal.SIGSTOP)  # as if it heard nothing from the server
            await until(lambda: watch.link().phase is Phase.STALLED and "does not answer" in watch.link().words)
            await asyncio.sleep(2 * watching.GOOD_PROBES * (watching.PROBE_TIMEOUT + watching.TICK))
            assert watch.pids() == before
            os.kill(before[0], signal.SIGCONT)
            watch.controller.says = YES
            await until(lambda: watch.link().phase is Phase.LIVE)
            assert watch.pids() == before

    run(main())


def test_good_probes_count_in_a_row_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        due: list[float | None] = [None]
        watch = Watch("count", due=lambda last: due[0])
        supervisor = Supervisor(watch.locate, watch.lanes, Stream(), watch.links.append, subprocess.DEVNULL)
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


def test_a_start_that_the_system_refuses_is_tried_again(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError("Resource temporarily unavailable")

    async def main() -> None:
        watch = Watch("count")
        with monkeypatch.context() as patched:
            patched.setattr(watching, "WorkerProcess", refuse)
            async with watch.watching():
                await until(lambda: "no worker can be started: Resource" in watch.link().words)
                patched.undo()
                await until(lambda: watch.link().phase is Phase.LIVE)

    run(main())


def test_a_server_that_comes_back_elsewhere_is_followed(impatient: None) -> None:
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


def test_fifty_replacements_leave_no_file_thread_or_process(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BACK_OFF", (0.0,))
    me = psutil.Process()

    async def main() -> None:
        watch = Watch("count")
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
