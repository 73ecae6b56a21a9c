"""The reader's threads without a server: decoded in one, stored in another, drawn in the loop, and always in order."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from streamcli.log.frames import Frame, pack, pack_events
from streamcli.log.reader import Listener, Reader
from streamcli.log.wheel.groups import GroupNames
from streamcli.model.address import Stream
from streamcli.model.dedup_key import DedupKeys
from streamcli.model.event import DecodedEvent
from streamcli.model.message import Message, Unreadable
from streamcli.storage.recorder import Recorder
from streamcli.system import guard
from streamcli.views.timeline import DecodedEvent, LogOpened, LogPosition
from tests.fake_controller import run, until

HEAD = 5  # bytes of a frame before its payload


class Disk:
    """A recorder's place, with a disk that does what a test says."""

    last_event = None

    def __init__(self, store: Callable[[Sequence[DecodedEvent]], None]) -> None:
        self._store = store
        self.closed = False

    def opened(self, opened: LogOpened) -> None:
        pass

    def store(self, events: Sequence[DecodedEvent], keys: Sequence[bytes]) -> list[bool]:
        self._store(events)
        return [True] * len(events)

    def close(self) -> None:
        self.closed = True


class Desk:
    """A reader, and what its listener was told."""

    def __init__(self, folder: Path, store: Callable[[Sequence[DecodedEvent]], None]) -> None:
        self.told: list[str] = []
        self.draws, self.undrawn = True, list[Callable[[], None]]()
        self.own_unread_since: float | None = None
        self.disk = Disk(store)
        listener = SimpleNamespace(
            place=LogPosition, arrived=self._arrived, caught_up=lambda: self.told.append("caught up")
        )
        groups = GroupNames(folder / "groups", "tim", Stream())
        recorder = cast(Recorder, self.disk)
        self.reader = Reader(
            Stream(), groups, cast(Listener, listener), recorder, lambda: self.own_unread_since, trace=False
        )

    def _arrived(self, batch: list[DecodedEvent], drawn: Callable[[], None]) -> None:
        self.told += [cast(Message, event.content).message for event in batch]
        self.undrawn.append(drawn)
        if self.draws:
            self.undrawn.pop()()

    async def hears(self, *frames: tuple[Frame, bytes]) -> None:
        """As from a worker, in a thread that then lets everything settle."""

        def listen() -> None:
            for frame, payload in frames:
                self.reader._on_frame(frame, payload)
            self.reader._settle()

        thread = threading.Thread(target=listen)
        thread.start()
        await until(lambda: not thread.is_alive())
        await asyncio.sleep(0)


def said(*texts: str) -> tuple[Frame, bytes]:
    events = [(100 * number, json.dumps({"sender": "alex", "message": t}).encode()) for number, t in enumerate(texts)]
    return Frame.EVENTS, pack_events(events)[HEAD:]


def opened(segments: int) -> tuple[Frame, bytes]:
    return Frame.OPENED, json.dumps(asdict(LogOpened("log", segments, 0, 0, "log#0"))).encode()


OPENED = opened(1)
CAUGHT_UP = Frame.CAUGHT_UP, b""


def at_a_desk(
    folder: Path, check: Callable[[Desk], Coroutine[Any, Any, None]], store: Callable[[Sequence[DecodedEvent]], None]
) -> None:
    async def main() -> None:
        desk = Desk(folder, store)
        try:
            await check(desk)
        finally:
            desk.reader.close()
        assert desk.disk.closed

    run(main())


def test_what_follows_a_slow_batch_waits_for_it_and_settling_waits_for_all(tmp_path: Path) -> None:
    def store(events: Sequence[DecodedEvent]) -> None:
        if len(events) == 2:
            time.sleep(0.2)

    async def check(desk: Desk) -> None:
        await desk.hears(OPENED, said("one", "two"), said("three"), CAUGHT_UP)
        assert desk.told == ["one", "two", "three", "caught up"]

    at_a_desk(tmp_path, check, store)


def test_the_next_batch_is_decoded_while_one_is_stored(tmp_path: Path) -> None:
    decoded, both = [], threading.Event()

    def store(events: Sequence[DecodedEvent]) -> None:
        assert both.wait(10), "the second batch waits for the first one to be stored"

    class Counting(DedupKeys):
        def of(self, contents: Iterable[Message | Unreadable]) -> list[bytes]:
            decoded.append(keys := super().of(contents))
            if len(decoded) == 2:
                both.set()
            return keys

    async def check(desk: Desk) -> None:
        desk.reader._identities = Counting(1)
        await desk.hears(said("one"), said("two"))
        assert desk.told == ["one", "two"]

    at_a_desk(tmp_path, check, store)


def test_behind_a_batch_that_failed_nothing_is_taken_until_a_new_worker_brings_it_again(tmp_path: Path) -> None:
    failing = True

    def store(events: Sequence[DecodedEvent]) -> None:
        if failing and len(events) == 2:
            raise MemoryError

    async def check(desk: Desk) -> None:
        nonlocal failing
        await desk.hears(OPENED, said("one"), said("two", "three"), said("four"), CAUGHT_UP)
        assert desk.told == ["one"]
        failing = False
        await desk.hears(OPENED, said("two", "three"), said("four"), CAUGHT_UP)
        assert desk.told == ["one", "two", "three", "four", "caught up"]

    at_a_desk(tmp_path, check, store)


def test_what_is_read_while_leaving_is_stored_and_not_drawn(tmp_path: Path) -> None:
    stored: list[int] = []

    def store(events: Sequence[DecodedEvent]) -> None:
        time.sleep(0.1)
        stored.append(len(events))

    async def check(desk: Desk) -> None:
        desk.reader._on_frame(*said("one"))
        desk.reader.close()
        await desk.hears(said("two"))
        assert stored == [1]
        assert desk.told == []

    at_a_desk(tmp_path, check, store)


def test_who_brings_what_stands_before_our_own_message_is_not_overdue(tmp_path: Path) -> None:
    async def check(desk: Desk) -> None:
        for segments, patient in ((1, True), (2, False)):
            now = time.monotonic()
            desk.own_unread_since = now - 100
            await desk.hears(opened(segments))
            assert desk.reader._due_since(now) == now - 100, "idle, and our own message is in the log"
            await desk.hears(said("before it"))
            due = desk.reader._due_since(now + 1)
            assert due is not None
            assert (due >= now) == patient, "on several segments ours may stand in one that is stuck"
            desk.reader._brought = 0.0

    at_a_desk(tmp_path, check, lambda events: None)


def test_the_worker_waits_for_a_screen_that_is_slow_and_is_not_overdue_meanwhile(tmp_path: Path) -> None:
    async def check(desk: Desk) -> None:
        sent: list[bytes] = []
        setattr(desk.reader.lane, "send", sent.append)  # noqa: B010
        desk.draws = False
        await desk.hears(OPENED, said("one"), said("two"))
        assert desk.told == ["one", "two"]
        assert sent == []
        assert desk.reader._due_since(0.0) is None
        for drawn in desk.undrawn:
            drawn()
        assert sent == [pack(Frame.TAKEN)] * 2
        assert desk.reader._due_since(7.0) == 7.0
        await desk.hears(said("three"))
        desk.reader.lane.process = cast(Any, object())
        desk.undrawn.pop()()
        assert len(sent) == 2, "the new worker did not bring it"
        desk.reader.lane.process = None

    at_a_desk(tmp_path, check, lambda events: None)


def test_what_cannot_be_stored_twice_is_reported(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def store(events: Sequence[DecodedEvent]) -> None:
        raise ArithmeticError

    async def check(desk: Desk) -> None:
        guard.on_error(errors.append)
        await desk.hears(OPENED, said("one"))
        assert errors == []
        await desk.hears(OPENED, said("one"))
        assert [type(error) for error in errors] == [ArithmeticError]

    at_a_desk(tmp_path, check, store)
