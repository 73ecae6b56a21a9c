"""Suspending a process while its files are copied: it goes on in every case."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from streamcli.errors import Unreachable
from streamcli.server import pause
from streamcli.server.pause import paused, stands_still
from tests.server.conftest import until

# It works in several threads, as the server does.
BUSY = """\
import threading, time
def work():
    while True:
        time.sleep(0.001)
for _ in range(20):
    threading.Thread(target=work).start()
print("busy", flush=True)
"""
PAUSER = """\
import sys, time, psutil
from streamcli.server.pause import paused
with paused(psutil.Process(int(sys.argv[1])), limit=60):
    print("paused", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def busy() -> Iterator[psutil.Process]:
    child = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    with child:
        assert child.stdout and child.stdout.readline()
        yield psutil.Process(child.pid)
        child.kill()


def test_it_stands_still_for_the_block_and_goes_on(busy: psutil.Process) -> None:
    assert not stands_still(busy)
    with paused(busy) as took:
        assert stands_still(busy)
        used = busy.cpu_times()
        time.sleep(0.1)
        assert busy.cpu_times() == used
    assert until(lambda: not stands_still(busy))
    assert took.seconds > 0.1


def test_it_goes_on_after_an_error_and_an_interrupt(busy: psutil.Process) -> None:
    for error in (OSError("the copy failed"), KeyboardInterrupt()):
        with pytest.raises(type(error)), paused(busy):
            raise error
        assert until(lambda: not stands_still(busy))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_goes_on_when_the_process_that_suspended_it_is_killed(busy: psutil.Process, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PAUSER, str(busy.pid)], stdout=subprocess.PIPE) as pauser:
        assert pauser.stdout and pauser.stdout.readline() == b"paused\n"
        assert stands_still(busy)
        pauser.send_signal(number)
    assert until(lambda: not stands_still(busy))


def test_it_goes_on_when_the_watchdog_is_killed(busy: psutil.Process) -> None:
    with paused(busy):
        (watchdog,) = [one for one in psutil.Process().children() if one.pid != busy.pid]
        assert "watchdog.py" in " ".join(watchdog.cmdline())
        watchdog.kill()
        assert stands_still(busy)
    assert until(lambda: not stands_still(busy))


def test_the_watchdog_is_not_ended_by_what_ends_a_terminal(busy: psutil.Process) -> None:
    with subprocess.Popen([sys.executable, "-c", PAUSER, str(busy.pid)], stdout=subprocess.PIPE) as pauser:
        assert pauser.stdout and pauser.stdout.readline() == b"paused\n"
        (watchdog,) = psutil.Process(pauser.pid).children()
        assert os.getsid(watchdog.pid) == watchdog.pid
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            watchdog.send_signal(number)
        assert stands_still(busy)
        pauser.kill()
    assert until(lambda: not stands_still(busy))


def test_it_goes_on_after_a_time_and_the_copy_is_known_to_be_bad(busy: psutil.Process) -> None:
    with pytest.raises(Unreachable, match="went on"), paused(busy, limit=0.2):
        assert until(lambda: not stands_still(busy))


def test_a_process_that_another_lets_go_on_is_noticed(busy: psutil.Process) -> None:
    with pytest.raises(Unreachable, match="Try again"), paused(busy):
        busy.resume()
        assert until(lambda: not stands_still(busy))


def test_a_process_that_ends_meanwhile_is_noticed(busy: psutil.Process) -> None:
    with pytest.raises(Unreachable, match="Try again"), paused(busy):
        busy.kill()
        busy.wait(10)
    with pytest.raises(Unreachable, match="The embedded server ended while"), paused(busy):
        pass


def test_the_watchdog_needs_nothing_of_ours() -> None:
    program = Path(pause.__file__).with_name("watchdog.py")
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(program), "1", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    ) as child:
        out, _ = child.communicate(timeout=10)
    assert out == b"\n"
