"""Where the bench lives: a home, a server and terminals of its own. Of the user's, only the jar cache is used."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
from ptyprocess import PtyProcess

from tests.environment import STREAMCLI, living_below, make_home, makes_an_archive

SIZE = (30, 100)
PATIENCE = 60.0
NUMBER = re.compile(rb": m(\d{6})\. ")
_LONGEST_MARK = 64  # bytes of a mark that may have come in an earlier piece
_numbers = itertools.count(1)


class Terminal:
    """streamcli in a pseudo-terminal, of which only the bytes are looked at: an emulator would cost more than it."""

    def __init__(self, user: str, url: str | None, env: dict[str, str], client: str = "") -> None:
        """Without ``url`` it is the embedded server; without ``client`` the program chooses it."""
        self.user, self.began = user, time.monotonic_ns()
        command = [*STREAMCLI, *([url] if url else []), "--id", user, *(["--client", client] if client else [])]
        self._process = PtyProcess.spawn(command, env=env, dimensions=SIZE, cwd=env["HOME"])
        self.pid: int = self._process.pid
        self.fd: int = self._process.fd
        self._rest = b""
        self.last = b""
        self.heard: Callable[[bytes, int], None] = lambda text, now: None

    def press(self, keys: str) -> int:
        """Press keys, and return when (monotonic nanoseconds)."""
        now = time.monotonic_ns()
        os.write(self.fd, keys.encode())
        return now

    def listen(self) -> None:
        """Take what was drawn and pass it to ``heard``, together with the end of what came before."""
        piece = os.read(self.fd, 1 << 16)
        now = time.monotonic_ns()
        text = self._rest + piece
        self._rest, self.last = text[-_LONGEST_MARK:], text
        self.heard(text, now)

    def until(self, mark: bytes, others: Sequence[Terminal] = ()) -> int:
        """Wait until ``mark`` is drawn, and return when."""
        at: list[int] = []
        self.heard = lambda text, now: at.append(now) if mark in text else None
        listen_to([self, *others], lambda: bool(at), PATIENCE, f"{mark!r} on the screen")
        self.forget()
        return at[0]

    def forget(self) -> None:
        """Nothing that was drawn counts any more."""
        self._rest = b""
        self.heard = lambda text, now: None

    def connected(self, token: str) -> Terminal:
        """Wait until a message of its own went to the log and back."""
        self.until(f"{self.user}>".encode())
        self.press(f"{token}\r")
        self.until(f": {token}".encode())
        return self

    def end(self) -> None:
        """Kill it; the kernel ends its workers."""
        workers = psutil.Process(self.pid).children(recursive=True)
        self._process.kill(9)
        self._process.close(force=True)
        psutil.wait_procs(workers, timeout=5)


def listen_to(
    terminals: Sequence[Terminal],
    done: Callable[[], bool],
    seconds: float,
    what: str,
    due: Callable[[], float] | None = None,
) -> None:
    """Listen until ``done()``. ``due()`` does what is to be done by now and tells in how many seconds to call it again.

    All in one thread: two of them would wait for each other just when a time is taken.
    """
    by_fd = {terminal.fd: terminal for terminal in terminals}
    end = time.monotonic() + seconds
    while not done():
        pause = due() if due else 0.5
        ready, _, _ = select.select(list(by_fd), [], [], max(0.0, min(pause, 0.5)))
        for fd in ready:
            by_fd[fd].listen()
        if time.monotonic() > end:
            shown = [terminal.last[-500:] for terminal in terminals]
            raise TimeoutError(f"not within {seconds:.0f} s: {what}; last on the screens: {shown}")


class Testbed:
    """A running embedded server in a home of its own."""

    def __init__(self, folder: Path, durable: bool = False) -> None:
        """In memory, unless ``durable``. It has no password, since the raw client knows none."""
        self.env = make_home(folder)
        self._kind = ["--no-auth"] if durable else ["--no-auth", "--in-memory"]
        self.server_pid = 0
        self.url = ""

    def start(self) -> None:
        """Start the server; the first time of all this fetches its jars."""
        self._run("start", "--timeout", "60", *self._kind)
        facts = dict(line.split(maxsplit=1) for line in self._run("status").splitlines()[1:])
        self.url, self.server_pid = facts["url"], int(facts["pid"])
        _wait_for_the_archive(Path(self.env["HOME"]))

    def stop(self) -> None:
        """Stop the server."""
        self._run("stop")

    def _run(self, *words: str) -> str:
        command = [*STREAMCLI, "server", *words]
        return subprocess.run(command, env=self.env, check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout

    def on(self, stream: str) -> dict[str, str]:
        """The environment of a program on ``stream``."""
        return {**self.env, "STREAMCLI_STREAM": stream}

    @contextlib.contextmanager
    def terminal(self, user: str, stream: str, embedded: bool = False, client: str = "") -> Iterator[Terminal]:
        """``user`` opens a chat, by the server's URL or as one who names none, through a client."""
        terminal = Terminal(user, None if embedded else self.url, self.on(stream), client)
        try:
            yield terminal
        finally:
            terminal.end()


@contextlib.contextmanager
def running_testbed(durable: bool = False) -> Iterator[Testbed]:
    """A testbed for as long as this holds."""
    with tempfile.TemporaryDirectory(prefix="streamcli-bench-") as folder:
        here = Testbed(Path(folder), durable)
        here.start()
        try:
            yield here
        finally:
            here.stop()


def new_stream(what: str) -> str:
    """A stream's name that was not used before."""
    return f"bench-{what}-{next(_numbers)}"


def processes_of(pid: int) -> dict[str, psutil.Process]:
    """The processes of one chat by what they are: prompt, read_worker, write_worker."""
    found = {"prompt": psutil.Process(pid)}
    for child in found["prompt"].children(recursive=True):
        found[child.cmdline()[-1].rpartition(".")[2]] = child
    return found


def _wait_for_the_archive(home: Path) -> None:
    """Making it takes a core for a while."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and any(map(makes_an_archive, living_below(home))):
        time.sleep(0.5)
