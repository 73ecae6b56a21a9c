"""Deletes what a run created on the server, in a separate process with a time limit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import IO

from streamcli.log.frames import Frame, Received
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
    done, ended = False, asyncio.Event()

    def heard(received: Received) -> None:
        nonlocal done
        done = done or received.kind is Frame.DONE

    worker = WorkerProcess(MODULE, controller, CleanRequest(scope, list(groups), stream), log, heard, ended.set)
    try:
        with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(ended.wait(), within)
    finally:
        worker.kill()
    return done
