"""Reader groups of earlier lives are deleted beside the reading, which never waits for that."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from streamcli.log.api import ReadMode, Target
from streamcli.log.channel import WorkerEvents
from streamcli.log.frames import Frame, Received
from streamcli.log.wheel import adapter, cleaning
from streamcli.log.wheel.groups import GroupNames
from streamcli.model.address import Controller, Stream
from streamcli.model.cursor import Cursor, LogOpened


def test_a_new_reader_is_asked_to_read_and_the_groups_go_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    in_time = [False, True]

    async def clean(controller: Controller, scope: str, names: Sequence[str], log: int, within: float) -> bool:
        asked.append(list(names))
        return in_time.pop(0)

    monkeypatch.setattr(adapter, "clean", clean)
    monkeypatch.setattr(adapter, "DELETED_AFTER", 0.0)

    async def main() -> None:
        target = Target(Stream(), "tim", lambda: Controller("127.0.0.1", 1), tmp_path / "groups", -3)
        client = adapter.WheelClient(target)
        client.read(ReadMode.FOLLOW)
        for _ in range(3):
            assert client.request(Cursor()).old_groups == [], "reading would begin when they are deleted, seconds later"
            client.opened(LogOpened.one("log", 0, 0))
        assert client._names
        left_over = client._names.left_over()
        assert len(left_over) == 2, "a group that was not made needs no deleting"
        for after in (left_over, list[str]()):
            client.caught_up(Controller("127.0.0.1", 1))
            assert client._deleting
            await client._deleting
            assert asked[-1] == left_over
            assert client._names.left_over() == after, "forgotten is what was deleted"
        client.close()

    asyncio.run(main())


def files(folder: Path) -> int:
    return len(list(folder.glob("*.json")))


def test_a_start_that_reached_no_server_leaves_no_file(tmp_path: Path) -> None:
    GroupNames(tmp_path, "tim", Stream()).close()
    assert files(tmp_path) == 0


def test_a_terminal_that_was_killed_before_it_made_a_group_leaves_no_file(tmp_path: Path) -> None:
    killed = GroupNames(tmp_path, "tim", Stream())
    os.close(killed._fd)  # all that a kill does to it
    assert files(tmp_path) == 1
    running = GroupNames(tmp_path, "tim", Stream())
    running.next()
    assert files(tmp_path) == 1, "its own, and that of the killed one is gone"
    GroupNames(tmp_path, "tim", Stream()).close()
    assert files(tmp_path) == 1, "a terminal that runs keeps its file"
    running.close()
    assert files(tmp_path) == 1, "it names a group that the next start deletes"
    later = GroupNames(tmp_path, "tim", Stream())
    assert later.left_over() == running._current


def test_cleaning_is_done_when_the_worker_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Frame] = []

    class Worker:
        def __init__(self, module: str, controller: Controller, request: object, log: int, events: WorkerEvents):
            for frame in said:
                events.frame(Received(frame, b""))
            asyncio.get_running_loop().call_soon(events.end)

        def kill(self) -> None:
            pass

    monkeypatch.setattr(cleaning, "WorkerProcess", Worker)
    for frame, done in ((Frame.OPENED, False), (Frame.DONE, True)):
        said[:] = [frame]
        assert asyncio.run(cleaning.clean(Controller("127.0.0.1", 1), "scope", [], -3)) is done
