"""Deletes on the server what a run has made there, in a process of its own that may take only so long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import IO

from streamcli.log.frames import Frame
from streamcli.log.process import WorkerProcess
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
    """Delete ``groups`` and, if one is named, ``stream``, whether they exist or not; False when that took too long."""
    done, ended = False, asyncio.Event()

    def heard(frame: Frame, payload: bytes) -> None:
        nonlocal done
        done = done or frame is Frame.DONE

    orders = {"scope": scope, "groups": list(groups), "delete_stream": stream}
    worker = WorkerProcess(MODULE, controller, orders, log, heard, ended.set)
    try:
        with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(ended.wait(), within)
    finally:
        worker.kill()
    return done
