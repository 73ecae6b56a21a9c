"""The command ``streamcli server …``: start, stop, status, logs, run, unit and backup."""

from __future__ import annotations

import os
import pwd
import signal
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from streamcli.errors import CannotCreate, UsageError, from_os_error
from streamcli.gate import control as control_of_gate
from streamcli.java.progress import Lines
from streamcli.model.numbers import duration
from streamcli.server import control, data, foreground, health, launch, server_log, state, unit
from streamcli.server.backup import back_up
from streamcli.server.control import State, Status
from streamcli.server.state import ServerOptions
from streamcli.system.clock import SYSTEM, Clock

_NOT_RUNNING = 3
_LOG_LINES = 100
_WHAT_TO_DO = {
    State.STARTING: "It will be ready in a moment.",
    State.STOPPED: "`streamcli server start` starts it.",
    State.CRASHED: "`streamcli server start` restarts it, `streamcli server logs` may show why.",
    State.UNRESPONSIVE: "`streamcli server stop` ends it, `streamcli server logs` may show why.",
    State.ABSENT: "`streamcli server start` starts it.",
}


def chosen(in_memory: bool, data_dir: str | None, no_auth: bool) -> ServerOptions:
    """Return the options of ``server start``; those not given have their defaults, but the folder is remembered.

    Raises UsageError or CannotCreate if the folder's name can't be used.
    """
    if in_memory and data_dir is not None:
        raise UsageError("--in-memory and --data-dir exclude each other: give only one of them.")
    before = state.remembered()
    folder = before.data if data_dir is None else str(_absolute(data_dir, "--data-dir"))
    return replace(before, durable=not in_memory, data=folder, auth=not no_auth)


def _absolute(folder: str, what: str) -> Path:
    """Return the path of ``folder``, which ``what`` names on the command line."""
    if not folder:
        raise UsageError(f"{what} is empty: give the name of a folder.")
    try:
        return Path(folder).expanduser().absolute()
    except OSError as error:
        raise CannotCreate(
            f"{what} {folder} is relative to the current folder, which no longer exists. Change to another one."
        ) from error
    except RuntimeError as error:
        raise UsageError(f"{what}: the home folder in {folder} is unknown. Write the full path.") from error


def run(
    action: str,
    timeout: float,
    out: TextIO,
    err: TextIO,
    choice: ServerOptions | None = None,
    clock: Clock = SYSTEM,
) -> int:
    """Run one of the five actions and return the exit code. Results go to ``out``, a start's progress to ``err``.

    ``timeout`` is in seconds: how long the server may take to become ready, or to end before it is killed. ``choice``
    are the options of a start. Raises StreamcliError.
    """
    if action == "start":
        return _start(timeout, out, err, choice, clock)
    if action == "run":
        return _run(timeout, out, err, choice, clock)
    if action == "stop":
        return _stop(timeout, out, clock)
    if action == "status":
        return _status(out, clock)
    if action == "logs":
        return _logs(out)
    raise UsageError(f"Unknown command `streamcli server {action}`: use start, stop, status or logs.")


def _start(timeout: float, out: TextIO, err: TextIO, choice: ServerOptions | None, clock: Clock) -> int:
    before = control.status(clock=clock)
    url = control.ensure_running(Lines(err), timeout, choice, clock)
    verb = "is already running" if before.state is State.RUNNING else "is running"
    out.write(f"The embedded server {verb} at {url}, {control.in_words(state.remembered())}\n")
    return 0


def _run(timeout: float, out: TextIO, err: TextIO, choice: ServerOptions | None, clock: Clock) -> int:
    """Start the server, or take the one that runs, and stay until it ends. SIGTERM and SIGINT stop it."""
    progress = Lines(err)
    foreground.raise_at_signals()
    with foreground.only_one(), server_log.written_to(out):
        try:
            before = control.status(clock=clock)
            url = control.ensure_running(progress, timeout, choice, clock)
            if before.state is State.RUNNING:
                progress.stage(f"it runs already at {url}, and ends with this command from now on")
            foreground.wait_for_its_end(clock)
        except KeyboardInterrupt:
            control.stop(timeout, clock)
        progress.stage("stopped")
    return 0


def _stop(timeout: float, out: TextIO, clock: Clock) -> int:
    before = control.status(clock=clock)
    if control.stop(timeout, clock):
        out.write("The embedded server is stopped.\n")
    else:
        out.write(f"The embedded server was not running. {before.detail}\n")
    return 0


def _status(out: TextIO, clock: Clock) -> int:
    now = control.status(clock=clock)
    if now.state is not State.RUNNING:
        out.write(f"{now.detail} {_WHAT_TO_DO[now.state]}\n")
        return _NOT_RUNNING
    out.write(now.detail + "\n")
    for name, value in _facts(now, clock):
        out.write(f"  {name:<15}{value}\n")
    return 0


def _facts(now: Status, clock: Clock) -> list[tuple[str, str]]:
    facts = [("url", str(now.url)), ("pid", str(now.pid))]
    for part in health.parts(now):
        facts.append((part.name, f"{'no port' if part.port is None else f'port {part.port}'}, {part.health}"))
    if now.since:
        facts.append(("up", duration(clock.seconds() - now.since)))
    facts.append(("log", str(state.log_path())))
    if gate := control_of_gate.in_words(clock):
        facts.append(("gate", gate))
    if now.choice:
        facts.append(("password", "required, known to your own clients" if now.choice.auth else "none: for tests only"))
        facts.append(("data", _data(now.choice)))
    return facts


def _data(choice: ServerOptions) -> str:
    if not choice.durable:
        return "in memory: lost when the server ends"
    folder = launch.data_folder(choice)
    try:
        space = f"{data.words(data.free(folder))} free"
    except OSError as error:
        space = f"can't be read: {error.strerror}"
    low = data.warning(folder)
    return f"{folder}, {low or space}"


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


def print_unit(system: bool, out: TextIO) -> int:
    """Print a systemd unit: this user's own, or one for the whole ``system`` that runs the server as this user."""
    out.write(unit.unit(pwd.getpwuid(os.getuid()).pw_name if system else None))
    return 0


def backup(folder: str, out: TextIO, clock: Clock = SYSTEM) -> int:
    """Copy the server's data to ``folder`` while it runs. Raises StreamcliError, and KeyboardInterrupt at a signal."""
    foreground.raise_at_signals()
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # Ctrl-Z would suspend us while the server waits for us
    target = _absolute(folder, "The folder")
    made = back_up(target, clock)
    told = "The server does not run." if made.pause is None else f"The server paused for {made.pause * 1000:.0f} ms."
    out.write(f"The backup is in {target}: {data.words(made.size)}. {told}\n")
    return 0
