"""The rule for --timeout, and why a command ends before it is over."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from streamcli.errors import NoSuchStream, NotPermitted, StreamcliError, Unreachable, Unusable
from streamcli.log import session as sessions
from streamcli.log.api import ConnectionStatus, Phase, Target
from streamcli.log.session import LogSession
from streamcli.model.address import Controller, Stream
from tests.fake_clock import fake_clock
from tests.scripted_log import ScriptedLog

SILENT = ConnectionStatus(Phase.CONNECTING, "the server does not answer.")
REFUSED = ConnectionStatus(Phase.CONNECTING, "not you", refused=True)
UNUSABLE = ConnectionStatus(Phase.CONNECTING, "Java can't be started", refused=True, unusable=True)
MISSING = ConnectionStatus(Phase.CONNECTING, "the client library failed: NotFound", missing=True)
LATER = 11.0  # seconds, when the timeout of 10 is over


@pytest.fixture(autouse=True)
def no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read or written."""
    monkeypatch.setattr(sessions, "open_log", lambda *arguments: ScriptedLog())


def ends(
    folder: Path, status: ConnectionStatus, must_exist: bool = False, forever: bool = False
) -> StreamcliError | None:
    """The error with which waiting ends, at once or when the timeout is over; None when it goes on."""
    clock = fake_clock()

    async def main() -> StreamcliError | None:
        target = Target(Stream(), "tim", lambda: Controller("127.0.0.1", 1), folder, subprocess.DEVNULL)
        session = LogSession(target, 10.0, clock=clock, must_exist=must_exist)
        session.status = status
        waiting = asyncio.create_task(session.until(lambda: False, forever=lambda: forever))
        await asyncio.sleep(0)
        clock.sleep(LATER)
        session._news.set()
        for _ in range(5):
            await asyncio.sleep(0)
        if not waiting.done():
            waiting.cancel()
            return None
        error = waiting.exception()
        assert isinstance(error, StreamcliError)
        return error

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "must_exist", "kind", "words"),
    [
        (SILENT, False, Unreachable, "Gave up after 10 s: the server does not answer."),
        (ConnectionStatus(Phase.LIVE), False, Unreachable, "Gave up after 10 s: no answer."),
        (REFUSED, False, NotPermitted, "Not you."),
        (UNUSABLE, False, Unusable, "Java can't be started."),
        (MISSING, True, NoSuchStream, "The stream scope/stream does not exist on that server."),
        # Of two workers that make the stream at once one may be told that there is none.
        (MISSING, False, Unreachable, "Gave up after 10 s: the client library failed: NotFound."),
    ],
)
def test_a_command_ends_with_the_true_reason(
    tmp_path: Path, status: ConnectionStatus, must_exist: bool, kind: Callable[..., StreamcliError], words: str
) -> None:
    error = ends(tmp_path, status, must_exist)
    assert type(error) is kind and str(error) == words


@pytest.mark.parametrize("status", [SILENT, REFUSED, UNUSABLE, MISSING])
def test_nothing_ends_what_may_take_for_ever(tmp_path: Path, status: ConnectionStatus) -> None:
    assert ends(tmp_path, status, must_exist=True, forever=True) is None
