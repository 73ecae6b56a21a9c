"""Deletes on the server what a run has made there, in a process of its own that may take only so long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import IO

from streamcli.address import Controller
from streamcli.pravega.process import WorkerProcess

MODULE = "streamcli.pravega.clean_worker"
WITHIN = 5.0  # seconds


async def clean(
    controller: Controller, scope: str, groups: Sequence[str], log: IO[bytes] | int, stream: str = ""
) -> None:
    """Delete ``groups`` and, if one is named, ``stream``, whether they exist or not; gives up after a while."""
    done = asyncio.Event()
    orders = {"scope": scope, "groups": list(groups), "delete_stream": stream}
    worker = WorkerProcess(MODULE, controller, orders, log, lambda frame, payload: None, done.set)
    with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
        await asyncio.wait_for(done.wait(), WITHIN)
    worker.kill()
