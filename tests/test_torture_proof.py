"""The torture's faults prove that they happened, and one that did not happen fails the run."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psutil
import pytest
from ptyprocess import PtyProcess

import streamcli
from tests.conftest import eventually
from torture import proof
from torture.fault_proxy import FaultProxies
from torture.fault_runner import FaultRunner, Hit
from torture.part import Part
from torture.person import Life, Line, Person
from torture.schedule import Fault

PLANT = Path(proof.__file__).with_name("plant")
CLOCK = "3600,-7200"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "instead", "fault"),
    [
        ("SYSTEM", "ANOTHER_NAME", {"STREAMCLI_TORTURE_CLOCK": CLOCK}),
        ("", "", {"STREAMCLI_TORTURE_CLOCK": "not a number"}),
    ],
)
def test_a_program_in_which_the_clock_has_another_name_ends_loudly(
    tmp_path: Path, name: str, instead: str, fault: dict[str, str]
) -> None:
    package = tmp_path / "streamcli"
    shutil.copytree(Path(streamcli.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for module in ("system/clock.py", "cli/main.py", "chat/chatter.py"):
        path = package / module
        path.write_text(path.read_text("utf-8").replace(name, instead), "utf-8")
    assert version(tmp_path, fault).returncode == 97
    assert version(tmp_path, {}).returncode == 0


def version(folder: Path, fault: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": f"{folder}:{PLANT}", **fault}
    command = [sys.executable, "-m", "streamcli", "--version"]
    return subprocess.run(command, env=env, cwd="/", capture_output=True, timeout=60)


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield psutil.Process(process.pid)
        process.kill()


def test_a_part_that_was_killed_is_well_again_when_another_process_is_there(sleeper: psutil.Process) -> None:
    processes = [sleeper]
    part = Part("gate", lambda: processes[-1], lambda: True, breath=5.0)
    assert part.may_be_hit(100.0)
    part.went(100.0, sleeper)
    assert part.look(101.0) is None, "its end takes a moment"
    assert not part.may_be_hit(101.0)
    part.note(101.0)
    processes.append(psutil.Process())
    assert part.look(102.0) == 2.0
    part.note(102.0)
    assert not part.may_be_hit(106.0) and part.may_be_hit(108.0)
    assert part.states[1:] == [(101.0, "dead"), (102.0, "well")]


def test_a_kill_and_a_stop_are_seen_at_the_process(sleeper: psutil.Process) -> None:
    gone, stopped = proof.gone(sleeper), proof.stopped(sleeper)
    assert not gone() and not stopped()
    sleeper.suspend()
    eventually(stopped)
    assert not gone()
    sleeper.kill()
    eventually(gone)


def test_a_silent_gate_is_seen_on_a_guest_s_screen(tmp_path: Path) -> None:
    guest = Person("mara", {"HOME": str(tmp_path)}, tmp_path / "screens", "tim")
    held = [False]
    happened = proof.each(lambda: held[0], proof.told([guest]))
    for words, told in (
        ("waiting, tim: the server does not answer", 0),
        ("waiting, tim: the gate does not answer", 1),
        ("connecting, tim: the gate can't be reached: nobody listens there", 2),
        ("connecting, tim: the connection to the gate has broken: Connection reset by peer", 3),
    ):
        assert not happened()
        guest.lives.append(Life(len(guest.lives), PtyProcess.spawn(["echo", words]), 0.0))
        while guest.life:
            guest.listen()
        assert guest.told == told
    held[0] = True
    assert happened()


def person(folder: Path, clock: str) -> Person:
    """Somebody who has typed one line in a chat whose clock is off."""
    somebody = Person("tim", {"HOME": str(folder)}, folder / "screens")
    somebody.lives.append(Life(0, PtyProcess.spawn(["true"]), 0.0, clock))
    somebody.lines.append(Line(0, 0.0, 0))
    return somebody


@pytest.mark.parametrize(("seconds", "seen"), [(3600, 1), (-7200, 1), (0, 0), (3500, 0)])
def test_a_wrong_clock_is_seen_in_the_log(tmp_path: Path, seconds: float, seen: int) -> None:
    tim = person(tmp_path, CLOCK)
    sent = datetime.fromtimestamp(tim.lines[0].wall, timezone.utc) + timedelta(seconds=seconds)
    assert proof.wrong_clocks(tim, {("tim", 0): [sent]}) == seen
    assert proof.wrong_clocks(tim, {}) == 0


@pytest.mark.parametrize("wrong", [True, False])
def test_a_fault_that_did_not_happen_is_a_problem(tmp_path: Path, wrong: bool) -> None:
    tim = person(tmp_path, CLOCK)
    runner = FaultRunner.__new__(FaultRunner)
    runner.people, runner.missed, runner.problems, runner._due, runner.note, runner._began = (
        [tim],
        [],
        [],
        [],
        io.StringIO(),
        0.0,
    )
    runner.hits = [Hit(Fault(0.0, "clock off", "tim"), 0.0, 0.0, proof.from_the_log)]
    sent = datetime.fromtimestamp(tim.lines[0].wall + (3600 if wrong else 0), timezone.utc)
    runner.judge({("tim", 0): [sent]})
    assert runner.problems == ([] if wrong else ["a fault did not happen: clock off tim"])


@pytest.fixture
def proxies() -> Iterator[FaultProxies]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = FaultProxies(lambda: port, lambda: None)
        yield found
        found.close()


def test_a_proxy_counts_what_it_passes_cuts_holds_and_delays(proxies: FaultProxies) -> None:
    proxy = proxies.controller
    assert proxy.cut() == 0, "nobody was connected"
    held, delayed = proof.counted(lambda: proxy.held), proof.counted(lambda: proxy.delayed)
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        eventually(lambda: len(proxy._writers) == 2)
        assert not held() and not delayed()
        proxy.slow(0.001)
        client.sendall(b"slowly")
        eventually(delayed)
        eventually(lambda: proxy.passed == len(b"slowly"))
        assert not held()
        proxy.slow(0)
        proxy.hole(True)
        eventually(lambda: not proxy._open.is_set())
        client.sendall(b"never")
        eventually(held)
        assert proxy.cut() == 2
        assert proxy.passed == len(b"slowly")


def test_a_killed_life_has_its_clock_set_wrong_again(tmp_path: Path) -> None:
    tim = person(tmp_path, CLOCK)
    assert tim.clock_is_due
    tim._ended(tim.lives[0])
    assert tim.next_clock == CLOCK and tim.clock_is_due
    tim.next_clock = ""
    tim.lines[0].read_back = 1.0
    tim._ended(tim.lives[0])
    assert not tim.clock_is_due
