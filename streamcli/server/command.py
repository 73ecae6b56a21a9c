"""The command ``streamcli server start|stop|status|logs``."""

from __future__ import annotations

import time
from collections import deque
from typing import TextIO

from streamcli.errors import UsageError, from_os_error
from streamcli.server import control, state
from streamcli.server.control import State, Status
from streamcli.server.progress import Lines

_NOT_RUNNING = 3
_LOG_LINES = 100
_WHAT_TO_DO = {
    State.STARTING: "It will be there in a moment.",
    State.STOPPED: "`streamcli server start` starts it.",
    State.CRASHED: "`streamcli server start` starts a new one, `streamcli server logs` may say why.",
    State.UNRESPONSIVE: "`streamcli server stop` ends it, `streamcli server logs` may say why.",
    State.ABSENT: "`streamcli server start` starts it.",
}


def run(action: str, timeout: float, out: TextIO, err: TextIO) -> int:
    """Do one of the four actions and return the exit code; results go to ``out``, stages of a start to ``err``.

    ``timeout`` is how many seconds Java may take to get ready, or to end before it is killed. Raises StreamcliError.
    """
    if action == "start":
        return _start(timeout, out, err)
    if action == "stop":
        return _stop(timeout, out)
    if action == "status":
        return _status(out)
    if action == "logs":
        return _logs(out)
    raise UsageError(f"There is no `streamcli server {action}`; it is start, stop, status or logs.")


def _start(timeout: float, out: TextIO, err: TextIO) -> int:
    before = control.status()
    url = control.ensure_running(Lines(err), timeout)
    verb = "runs already" if before.state is State.RUNNING else "is running"
    out.write(f"The embedded server {verb} at {url}\n")
    return 0


def _stop(timeout: float, out: TextIO) -> int:
    before = control.status()
    if control.stop(timeout):
        out.write("The embedded server is stopped.\n")
    else:
        out.write(f"The embedded server was not running. {before.detail}\n")
    return 0


def _status(out: TextIO) -> int:
    now = control.status()
    if now.state is not State.RUNNING:
        out.write(f"{now.detail} {_WHAT_TO_DO[now.state]}\n")
        return _NOT_RUNNING
    out.write(now.detail + "\n")
    for name, value in _facts(now):
        out.write(f"  {name:<8}{value}\n")
    return 0


def _facts(now: Status) -> list[tuple[str, str]]:
    facts = [("url", str(now.url)), ("pid", str(now.pid))]
    if now.ports:
        facts.append(
            (
                "ports",
                f"{now.ports.rpc} controller, {now.ports.rest} REST, {now.ports.segment_store} segment store, "
                f"{now.ports.zookeeper} ZooKeeper, {now.ports.segment_store_rest} segment store REST",
            )
        )
    if now.since:
        facts.append(("up", uptime(time.time() - now.since)))
    return [*facts, ("log", str(state.log_path())), ("data", "in memory: all of it goes when the server ends")]


def uptime(seconds: float) -> str:
    """A length of time in words, such as ``2 h 5 min``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _logs(out: TextIO) -> int:
    path = state.log_path()
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            tail = deque(file, _LOG_LINES)
    except FileNotFoundError:
        out.write(f"There is no log yet; it would be {path}\n")
        return 0
    except OSError as error:
        raise from_os_error(error, path) from error
    out.writelines(tail)
    return 0
