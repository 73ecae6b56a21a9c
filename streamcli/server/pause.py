"""Suspends a process for as long as its files are copied, and sees to it that it goes on whatever happens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from streamcli.errors import NotPermitted, Unreachable, Unusable
from streamcli.system.clock import SYSTEM, Clock

LIMIT = 60.0  # seconds; ZooKeeper's sessions end after 600, and the server's parts with them
_STOPPING = 10.0  # seconds; a thread that waits for the disk is suspended only when it has what it waited for
_POLL = 0.001  # seconds
_STOPPED = {b"T", b"Z", b"X"}  # states of a thread that does nothing more: suspended, or ended


@dataclass
class Pause:
    """How long a process was suspended; known when it goes on."""

    seconds: float = 0.0


@contextmanager
def paused(process: psutil.Process, limit: float = LIMIT, clock: Clock = SYSTEM) -> Iterator[Pause]:
    """Suspend ``process`` during the block; all its threads stand still when the block begins.

    It goes on at the end of the block, after ``limit`` seconds, or when this process ends, even by ``kill -9``: a child
    process sees to that. Raises Unreachable when it does not stand still, or did not until the end of the block;
    NotPermitted when it belongs to another user; Unusable when the child process can't be started.
    """
    pause = Pause()
    with _watchdog(process.pid, limit):
        begun = clock.monotonic()
        try:
            process.suspend()
            _wait_until_it_stands_still(process, clock)
            yield pause
            if not stands_still(process):
                raise Unreachable(
                    f"The embedded server was stopped, went on or ended while its files were copied, or copying took "
                    f"longer than {limit:.0f} s. Try again."
                )
        except psutil.NoSuchProcess as error:
            raise Unreachable("The embedded server ended while its files were to be copied. Try again.") from error
        except psutil.AccessDenied as error:
            raise NotPermitted(f"Process {process.pid} of the embedded server belongs to another user.") from error
        finally:
            with suppress(psutil.Error):
                process.resume()
            pause.seconds = clock.monotonic() - begun


def stands_still(process: psutil.Process) -> bool:
    """Return whether ``process`` exists and each of its threads is suspended."""
    if not process.is_running():
        return False
    if not sys.platform.startswith("linux"):
        return bool(process.status() == psutil.STATUS_STOPPED)
    states = set()
    try:
        threads = list(Path(f"/proc/{process.pid}/task").iterdir())
    except OSError:
        return False  # it has ended
    for thread in threads:
        with suppress(OSError):  # it may have ended since
            states.add((thread / "stat").read_bytes().rpartition(b") ")[2][:1])
    return b"T" in states and states <= _STOPPED


def _wait_until_it_stands_still(process: psutil.Process, clock: Clock) -> None:
    end = clock.monotonic() + _STOPPING
    # Twice: a thread may have been started while the others were looked at.
    while not (stands_still(process) and stands_still(process)):
        if not process.is_running():
            raise psutil.NoSuchProcess(process.pid)
        if clock.monotonic() > end:
            raise Unreachable(f"The embedded server's process {process.pid} can't be suspended: its disk is too slow.")
        clock.sleep(_POLL)


@contextmanager
def _watchdog(pid: int, limit: float) -> Iterator[None]:
    """Have a child process let ``pid`` go on at the end of the block, or when this process ends."""
    program = str(Path(__file__).with_name("watchdog.py"))
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", program, str(pid), str(limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C and a closed terminal are meant for us
        )
    except OSError as error:
        raise Unusable(f"No process can be started that would let the server go on: {error}.") from error
    with child:  # closes its input and waits for it
        assert child.stdout
        if child.stdout.read(1) != b"\n":
            raise Unusable("The process that would let the server go on ended at once.")
        yield
