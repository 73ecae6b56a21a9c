"""Reader groups of earlier lives are deleted beside the reading, which never waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from streamcli import reader as reader_module
from streamcli.address import Controller, Stream
from streamcli.history.places import Places
from streamcli.pravega.frames import Frame
from streamcli.pravega.groups import GroupNames
from streamcli.reader import Listener, Reader
from streamcli.recorder import Recorder
from streamcli.state import Place


def test_a_new_reader_is_asked_to_read_and_the_groups_go_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    in_time = [False, True]

    async def clean(controller: Controller, scope: str, names: Sequence[str], log: int, within: float) -> bool:
        asked.append(list(names))
        return in_time.pop(0)

    monkeypatch.setattr(reader_module, "clean", clean)
    monkeypatch.setattr(reader_module, "DELETED_AFTER", 0.0)

    async def main() -> None:
        listener = cast(Listener, SimpleNamespace(place=Place, caught_up=lambda: None))
        groups = GroupNames(tmp_path / "groups", "tim", Stream())
        recorder = Recorder(Places("tim", tmp_path), "address", print)
        reader = Reader(Stream(), groups, listener, recorder, lambda: None)
        for _ in range(3):
            assert reader._orders()["old_groups"] == [], "reading would begin when they are deleted, seconds later"
            groups.one_made()
        left_over = groups.left_over()
        assert len(left_over) == 2, "a group that was not made needs no deleting"
        reader.lane.controller, reader.lane.opened = Controller("127.0.0.1", 1), True
        for after in (left_over, []):
            reader._on_frame(Frame.CAUGHT_UP, b"")
            reader._settle()
            await asyncio.sleep(0.05)
            assert asked[-1] == left_over
            assert groups.left_over() == after, "forgotten is what was deleted"
        groups.close()
        reader.close()

    asyncio.run(main())
