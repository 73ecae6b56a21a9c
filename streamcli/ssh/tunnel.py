"""`Tunnel`: keeps ssh to another machine running, with two local ports that lead to that machine's server.

One thread runs one ssh after another. The remote command says how the server is reached; then the running ssh is told
to forward two free ports. When ssh ends, the next one starts after a pause; only the first one may ask for a password.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from streamcli.errors import NotPermitted, Unreachable, Unusable
from streamcli.model.address import Controller
from streamcli.model.ssh_host import SshHost
from streamcli.ssh import arguments
from streamcli.ssh.access import Access, NoAccess, parse, printable, remote_command

PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0)  # seconds before the next ssh, by successive ones that ended soon
STEADY = 60.0  # seconds after which an ssh did not end soon
FORWARDS_WITHIN = 5.0  # seconds
ENDS_WITHIN = 0.5  # seconds
_TRIES = 3  # another program may take a free port before ssh does
_LONGEST_LINE = 1 << 16
_LONGEST_FOLDER = 60  # bytes: a socket's path may take 104, and ssh appends to it

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Wait:
    """Why there is no server now. ``passing``: wait for it; ``heard``: the other machine has said so."""

    words: str
    passing: bool = False
    heard: bool = False
    denied: bool = False


class _CannotForward(Exception):
    """ssh could not forward a port; its text says why."""


class Tunnel:
    """Keeps ssh running while it is entered. :meth:`locate` is for any thread, all else for the one that enters it."""

    def __init__(
        self,
        host: SshHost,
        start: bool,
        timeout: float,
        say: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``start`` has the server there started if needed. ``timeout`` is for reaching the host, in seconds.

        ``say`` is called in a thread with each line that ssh writes while it may ask, such as "please try again".
        """
        self._host, self._timeout, self._say, self._now = host, timeout, say, now
        self._command = remote_command(start, timeout)
        self._state: Controller | _Wait = _Wait(f"connecting to {host.place} over ssh", passing=True)
        self._news = threading.Event()
        self._closing = threading.Event()
        self._talking = False
        self._error: Exception | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._folder = Path()
        self._last = ""  # line of the running ssh

    def __enter__(self) -> Tunnel:
        if shutil.which("ssh") is None:
            raise Unusable("ssh:// needs the program ssh, which is not installed here (openssh-client, or openssh).")
        base = tempfile.gettempdir()
        self._folder = Path(tempfile.mkdtemp("", "streamcli-", base if len(base) <= _LONGEST_FOLDER else "/tmp"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._kill()
        if self._thread:
            self._thread.join(ENDS_WITHIN)
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, asks: bool, patient: bool) -> None:
        """Start ssh, and wait until the server can be used; ``patient``: only until the other machine has answered.

        If it ``asks``, ssh may ask for a password at the terminal, and there is no time limit.
        Raises Unreachable, and NotPermitted if the other machine does not let us in.
        """
        self._talking = asks
        self._thread = threading.Thread(target=self._run, args=(asks,), name="ssh", daemon=True)
        self._thread.start()
        try:
            self._wait(asks, patient)
        finally:
            self._talking = False

    def _wait(self, asks: bool, patient: bool) -> None:
        end = self._now() + self._timeout
        while isinstance(state := self._state, _Wait) and state.passing and not (patient and state.heard):
            if self._error:
                raise self._error
            limited = not asks and not state.heard
            if not self._news.wait(max(0.0, end - self._now()) if limited else None):
                raise Unreachable(f"Gave up after {self._timeout:g} s: ssh to {self._host.place} does not get through.")
            self._news.clear()
        if isinstance(state, _Wait) and not state.passing:
            raise (NotPermitted if state.denied else Unreachable)(f"{state.words.rstrip('.')}.")

    def locate(self) -> Controller:
        """Return the server as it is reached from here; raise Unreachable with the reason if it is not."""
        if self._error:
            raise self._error
        state = self._state
        if isinstance(state, _Wait):
            raise Unreachable(state.words)
        return state

    def _run(self, asks: bool) -> None:
        """Run one ssh after another until the tunnel is left."""
        soon = 0
        try:
            for number in range(1 << 62):
                begun = self._now()
                self._connect(self._folder / str(number), asks)
                soon = 0 if self._now() - begun > STEADY else min(soon + 1, len(PAUSES) - 1)
                asks = False
                if self._closing.wait(PAUSES[soon]):
                    return
        except Exception as error:
            self._error = error
            self._news.set()

    def _connect(self, control: Path, asks: bool) -> None:
        """Run one ssh until it ends."""
        self._last = ""
        command = arguments.connection(self._host, str(control), self._command, asks, self._timeout)
        try:
            process = self._process = _start(command, asks)
        except OSError as error:  # no more processes, files or memory
            self._becomes(_Wait(f"ssh can't be started: {error}"))
            return
        if self._closing.is_set():
            self._kill()
        assert process.stdin and process.stdout and process.stderr
        errors = threading.Thread(target=self._read_errors, args=(process.stderr,), name="ssh-errors", daemon=True)
        errors.start()
        forwarded: dict[int, int] = {}  # local ports by those of the other machine
        while line := process.stdout.readline(_LONGEST_LINE):
            if said := parse(line):
                self._told(said, control, forwarded)
        code = process.wait()
        errors.join(ENDS_WITHIN)
        process.stdin.close()
        process.stdout.close()
        words, denied = arguments.ending(self._host, code, self._last), arguments.denied(code, self._last)
        if denied and not asks:
            words += "; to be asked for a password, start streamcli again in a terminal"
        _log.info("%s", words)
        self._becomes(_Wait(words, denied=denied))

    def _told(self, said: Access | NoAccess, control: Path, forwarded: dict[int, int]) -> None:
        if isinstance(said, NoAccess):
            self._becomes(_Wait(f"{self._host.place}: {said.words}", said.passing, heard=True))
            return
        try:
            for there in (said.rpc, said.segment_store):
                if there not in forwarded:
                    forwarded[there] = _forward(control, there)
        except _CannotForward as error:
            self._becomes(_Wait(f"ssh can't forward a port to {self._host.place}: {error}", heard=True))
            return
        self._last = ""
        here, store = forwarded[said.rpc], forwarded[said.segment_store]
        _log.info("%s is reached at the ports %d and %d", self._host.place, here, store)
        self._becomes(Controller(arguments.HERE, here, said.login, store_port=store))

    def _becomes(self, state: Controller | _Wait) -> None:
        self._state = state
        self._news.set()

    def _read_errors(self, pipe: IO[bytes]) -> None:
        with pipe:
            while line := pipe.readline(_LONGEST_LINE):
                if not (text := printable(line.decode(errors="replace"))):
                    continue
                self._last = text
                _log.info("ssh: %s", text)
                if arguments.forbids_ports(text):
                    self._becomes(_Wait(f"{self._host.place} forwards no ports: {text}", heard=True))
                if self._talking:
                    self._say(text)

    def _kill(self) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()


def may_ask() -> bool:
    """Return whether ssh may ask at the terminal: there is one, and this process is in its foreground."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _start(command: list[str], asks: bool) -> subprocess.Popen[bytes]:
    """Start ssh. Its standard input stays open: when this program ends, so does the remote command."""
    if asks:
        # In the terminal's foreground, or it could not ask. But Ctrl-C, Ctrl-Z and the terminal's end are for the
        # program that uses the connection, which may still have something to send.
        command = ["/bin/sh", "-c", 'trap "" HUP INT QUIT TSTP; exec "$@"', "sh", *command]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/", start_new_session=not asks)


def _forward(control: Path, there: int) -> int:
    """Forward a free local port to the port ``there`` of the other machine, and return it. Raises _CannotForward."""
    said = ""
    for _ in range(_TRIES):
        with socket.socket() as free:
            free.bind((arguments.HERE, 0))
            here: int = free.getsockname()[1]
        command = arguments.forwarding(str(control), here, there)
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=FORWARDS_WITHIN)
        except subprocess.TimeoutExpired:
            raise _CannotForward("it does not answer") from None
        except OSError as error:
            raise _CannotForward(str(error)) from None
        if done.returncode == 0:
            return here
        said = printable(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    raise _CannotForward(said)
