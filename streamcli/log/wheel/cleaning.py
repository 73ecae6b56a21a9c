"""Deletes what a run created on the server, in a separate process with a time limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from streamcli.log.channel import done_within
from streamcli.log.process import WorkerProcess
from streamcli.log.wheel.requests import CleanRequest
from streamcli.model.address import Controller

MODULE = "streamcli.log.wheel.clean_worker"
WITHIN = 5.0  # seconds


async def clean(
    controller: Controller,
    scope: str,
    groups: Sequence[str],
    log: IO[bytes] | int,
    stream: str = "",
    within: float = WITHIN,
) -> bool:
    """Delete ``groups`` and ``stream`` (if not ""), whether they exist or not; return False when that took too long."""
    request = CleanRequest(scope, list(groups), stream)
    return await done_within(within, lambda events: WorkerProcess(MODULE, controller, request, log, events))
