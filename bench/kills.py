"""From the death of one worker of a chat to the next message on the screen, alone and beside busy processes."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from bench.raw import Writer
from bench.testbed import Terminal, Testbed, listen_to, new_stream, processes_of, running_testbed

APART = 3.0  # seconds between two kills, or until the message is on the screen if that takes longer
BUSY = 10  # processes
# It ends by itself if the bench can't end it.
_BUSY_LOOP = "import signal; signal.alarm(600)\nwhile True: pass"


def after_a_kill(kills: int) -> dict[str, list[float]]:
    """Seconds from ``kill -9`` of the read or the write worker until what was written right after it is shown.

    The server is durable and of its own, as people have it: reader groups take longer there.
    """
    found: dict[str, list[float]] = {}
    with running_testbed(durable=True) as here:
        for name, beside in (("alone", 0), ("busy", BUSY)):
            with _busy(beside):
                found[f"read worker, {name}"] = _kill_reader(here, kills)
                found[f"write worker, {name}"] = _kill_writer(here, kills)
    return found


def _kill_reader(testbed: Testbed, kills: int) -> list[float]:
    """Another client writes after each kill."""
    stream = new_stream("kills")
    with testbed.terminal("tim", stream) as tim, Writer(testbed.url, stream, testbed.env) as writer:
        tim.connected("first")
        numbers = iter(range(kills))

        def write() -> bytes:
            writer.fill(1)
            return f": m{next(numbers):06}. ".encode()

        return _kill(tim, "read_worker", kills, write)


def _kill_writer(testbed: Testbed, kills: int) -> list[float]:
    """The person types after each kill, and the line counts when it was read back from the log."""
    with testbed.terminal("tim", new_stream("kills")) as tim:
        tim.connected("first")
        numbers = iter(range(kills))

        def type_a_line() -> bytes:
            text = f"line {next(numbers)}."
            tim.press(f"{text}\r")
            return f": {text}".encode()  # what is pending or in the prompt has no colon there

        return _kill(tim, "write_worker", kills, type_a_line)


def _kill(chat: Terminal, worker: str, kills: int, write: Callable[[], bytes]) -> list[float]:
    took: list[float] = []
    for _ in range(kills):
        _pass(chat, APART - (took[-1] if took else 0.0))
        chat.forget()
        process = processes_of(chat.pid)[worker]
        killed = time.monotonic_ns()
        process.send_signal(signal.SIGKILL)
        took.append((chat.until(write()) - killed) / 1e9)
    return took


def _pass(chat: Terminal, seconds: float) -> None:
    end = time.monotonic() + seconds
    listen_to([chat], lambda: time.monotonic() >= end, APART + 60, "a pause", lambda: end - time.monotonic())


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but use the processor, at normal priority.

    Each has a session of its own: Linux shares the processor out by sessions, and all in one would get one's share.
    """
    processes = [subprocess.Popen([sys.executable, "-c", _BUSY_LOOP], start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
