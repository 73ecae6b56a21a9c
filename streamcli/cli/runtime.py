"""Runs a command on a log: finds the server, starting the embedded one if that is meant, and runs the loop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable

from streamcli.config import Settings
from streamcli.errors import NotPermitted, Unreachable
from streamcli.java.progress import Lines
from streamcli.log import opening
from streamcli.log.api import Target
from streamcli.model.address import Controller
from streamcli.model.ssh_host import SshHost
from streamcli.system import extra, guard, log_file
from streamcli.system.paths import state_dir

LOOK = 0.02  # seconds for a check of the embedded server: it runs in the loop that draws
# Seconds for which a computing thread keeps Python's lock from a waiting one. By default 5 ms, and drawing and storing
# request the lock after each write: while a long log is read, a key would wait for several of these.
SWITCH = 0.0005
Locate = Callable[[], Controller]


def run(
    settings: Settings,
    work: Callable[[Target], Awaitable[int]],
    start: bool = True,
    patient: bool = False,
    unstarted: str = "",
    prepared: bool = True,
) -> int:
    """Run ``work`` on the log of ``settings`` and return its exit code; ``start`` the embedded server first if needed.

    A ``patient`` command begins at once if a server is only away: crashed, starting or unresponsive. For all others,
    the error of a server that is not ready in time also says what was ``unstarted``. ``prepared`` is false for a
    command that itself looks for what the log's client needs.
    Raises StreamcliError.
    """
    sys.setswitchinterval(SWITCH)
    with contextlib.ExitStack() as stack:
        locate = _locating(settings, stack, start, patient, unstarted)
        if prepared and not settings.gate:
            opening.prepare(settings.client, Lines(sys.stderr, "client"))
        worker_log = stack.enter_context(log_file.worker_log())

        async def main() -> int:
            groups = state_dir() / "groups"
            target = Target(
                settings.stream, settings.group_owner, locate, groups, worker_log, settings.client, settings.gate
            )
            return await _ended_by_errors(work(target))

        return asyncio.run(main())


async def _ended_by_errors(work: Awaitable[int]) -> int:
    """Run ``work``; an error in a callback, a watched task or a thread cancels it and is raised instead."""
    task = asyncio.current_task()
    assert task
    errors: list[BaseException] = []

    def end(error: BaseException) -> None:
        errors.append(error)
        if len(errors) == 1:
            task.cancel()

    guard.on_error(end)
    try:
        code = await work
    except BaseException:
        if not errors:
            raise
    finally:
        guard.on_error(lambda error: None)  # errors while the loop ends are only logged
    if errors:
        raise log_file.our_fault(errors[0])
    return code


def _locating(settings: Settings, stack: contextlib.ExitStack, start: bool, patient: bool, unstarted: str) -> Locate:
    controller = settings.controller
    if settings.gate:
        return _nowhere
    if isinstance(controller, SshHost):
        return _over_ssh(controller, settings.timeout, stack, start, patient, unstarted)
    return _named(controller) if controller else _embedded(settings, start, patient, unstarted)


def _named(controller: Controller) -> Locate:
    return lambda: controller


def _nowhere() -> Controller:
    raise AssertionError("a guest knows no controller")


def _embedded(settings: Settings, start: bool, patient: bool, unstarted: str) -> Locate:
    extra.require()
    from streamcli import server
    from streamcli.gate.guest_list import refuse_guests_name

    refuse_guests_name(settings.user, settings.stream)
    slow = (server.State.STARTING, server.State.UNRESPONSIVE)
    if start and not (patient and server.status(LOOK).state in (*slow, server.State.CRASHED)):
        try:
            server.ensure_running(server.Lines(sys.stderr), settings.timeout)
        except Unreachable as error:
            if not patient:
                raise Unreachable(f"{error} {unstarted}".rstrip()) from error
            if server.status(LOOK).state not in slow:
                raise
    return server.locating(start, settings.timeout)


def _over_ssh(
    host: SshHost, timeout: float, stack: contextlib.ExitStack, start: bool, patient: bool, unstarted: str
) -> Locate:
    extra.require()
    from streamcli.ssh.tunnel import Tunnel, may_ask

    progress, asks = Lines(sys.stderr, "ssh"), may_ask()
    tunnel = stack.enter_context(Tunnel(host, start, timeout, progress.stage))
    if asks:
        progress.stage(f"connecting to {host.place}")
    try:
        tunnel.open(asks, patient)
    except (Unreachable, NotPermitted) as error:
        if not patient or isinstance(error, NotPermitted):
            raise type(error)(f"{error} {unstarted}".rstrip()) from error
    return tunnel.locate
