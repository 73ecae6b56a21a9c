"""``streamcli server access``: says how the embedded server is reached, to an ssh:// URL on another machine."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import TextIO

from streamcli.errors import StreamcliError, UsageError
from streamcli.java.progress import Lines
from streamcli.server import control
from streamcli.server.control import State, Status
from streamcli.server.watch import CrashRestarter
from streamcli.ssh.access import Access, NoAccess, line
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.standard_files import STDIN

_LOOK_EVERY = 1.0  # seconds
_PATIENCE = 0.5  # seconds


def access(start: bool, timeout: float, out: TextIO, err: TextIO, clock: Clock = SYSTEM) -> int:
    """Print to ``out``, whenever it changes, how the server is reached, until standard input ends; return 0.

    With ``start`` the server is started first, which may take ``timeout`` seconds, and again after a crash. Progress
    goes to ``err``. Raises UsageError if ``out`` is a terminal: the password is among what is printed.
    """
    if out.isatty():
        raise UsageError("`streamcli server access` prints the server's password, and so refuses a terminal.")
    last: Access | NoAccess | None = None

    def say(now: Access | NoAccess) -> None:
        nonlocal last
        if now != last:
            last = now
            out.write(line(now) + "\n")
            out.flush()

    if start:
        _start(timeout, err, clock, say)
    look = CrashRestarter(timeout, clock).look if start else control.status
    while True:
        say(_reached(look(patience=_PATIENCE), start))
        if select.select([STDIN], [], [], _LOOK_EVERY)[0] and not os.read(STDIN, 1 << 16):
            return 0


def _start(timeout: float, err: TextIO, clock: Clock, say: Callable[[Access | NoAccess], None]) -> None:
    if control.status(clock=clock).state is not State.RUNNING:
        say(NoAccess("The embedded server is starting.", passing=True))
    try:
        control.ensure_running(Lines(err), timeout, clock=clock)
    except StreamcliError as error:
        say(NoAccess(str(error)))


def _reached(now: Status, start: bool) -> Access | NoAccess:
    if why := control.why_not(now, start):
        return NoAccess(why, passing=now.state is State.STARTING)
    assert now.ports
    return Access(now.ports.rpc, now.ports.segment_store, control.login())
