"""When ``send`` gives up, on a log whose part the test plays."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from streamcli.cli.send import Sender
from streamcli.config import Settings
from streamcli.errors import StreamcliError, Unreachable
from streamcli.log import session
from streamcli.log.api import Target
from streamcli.model.address import Controller, Stream
from streamcli.system.clock import SYSTEM
from tests.scripted_log import ScriptedLog

SETTINGS = Settings(None, "tim", Stream(), "lobby", timeout=10.0)


@pytest.mark.parametrize(("acknowledges", "gives_up"), [(False, True), (True, False)])
def test_a_connection_that_opens_again_and_again_and_acknowledges_nothing_is_no_progress(
    acknowledges: bool, gives_up: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ScriptedLog()
    monkeypatch.setattr(session, "open_log", lambda target, on_status, clock: log)
    now = 0.0

    async def main() -> None:
        nonlocal now
        target = Target(Stream(), "tim", lambda: Controller("127.0.0.1", 1), tmp_path, subprocess.DEVNULL)
        sender = Sender(SETTINGS, target, replace(SYSTEM, monotonic=lambda: now))
        batches: asyncio.Queue[list[bytes] | StreamcliError | None] = asyncio.Queue()
        batches.put_nowait([b"event"] * 9)
        batches.put_nowait(None)
        sending = asyncio.create_task(sender.send(batches))
        for _ in range(5):
            await asyncio.sleep(0)
        for _ in range(5):
            now += 3.0
            log.appender.opened("log")
            if acknowledges:
                log.appender.acknowledged(1)
            sender._session._news.set()  # as its timer does
            for _ in range(5):
                await asyncio.sleep(0)
        gave_up = sending.done() and isinstance(sending.exception(), Unreachable)
        log.appender.acknowledged(len(sender._unacknowledged))
        await asyncio.wait([sending])
        assert gave_up is gives_up

    asyncio.run(main())
