"""The life of the server that ``streamcli server run`` stands for, from its start to its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from streamcli.errors import Unreachable, UsageError
from streamcli.server import state
from streamcli.server.state import STOPPED
from streamcli.system.clock import SYSTEM, Clock

RUN_LOCK = "run.lock"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOOK = 0.25  # seconds


@contextmanager
def only_one() -> Iterator[None]:
    """Hold the lock of ``server run`` during the block; raise UsageError when another one runs."""
    with state.lock(RUN_LOCK, wait=False) as ours:
        if not ours:
            raise UsageError("`streamcli server run` runs here already. `streamcli server stop` ends it.")
        yield


def raise_at_signals() -> None:
    """Have the first SIGTERM, SIGINT or SIGHUP raise KeyboardInterrupt; later ones are ignored, the end has begun.

    Whatever is ignored now, as SIGINT is in a shell's background, stays ignored.
    """

    def handle(*received: object) -> NoReturn:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handle)


def wait_for_its_end(clock: Clock = SYSTEM) -> None:
    """Return when the running server was stopped on purpose; raise Unreachable when it ended by itself."""
    record = state.read()
    while record and record.alive:
        clock.sleep(_LOOK)
        with suppress(ChildProcessError):  # the first process of a container inherits the server, and has to bury it
            os.waitpid(record.pid, os.WNOHANG)
    now = state.read()
    if record is None or (now and now.pid == record.pid and now.phase == STOPPED):
        return
    raise Unreachable(
        f"The embedded server ended unexpectedly: its process {record.pid} is gone. Its log: {state.log_path()}."
    )
