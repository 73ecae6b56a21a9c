"""Chooses the client for a log. Today there is only one."""

from __future__ import annotations

from collections.abc import Callable

from streamcli.log.api import ConnectionStatus, Log, Target
from streamcli.log.wheel.adapter import WheelLog


def open_log(target: Target, on_status: Callable[[ConnectionStatus], None]) -> Log:
    """Return the log of ``target``; ``on_status`` is called in the loop whenever the connection's status changes."""
    return WheelLog(target, on_status)
