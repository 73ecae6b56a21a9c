"""The reader's threads without a server: decoded in one, stored in another, shown in the loop, and always in order."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import pytest

from streamcli.log import reader as reader_module
from streamcli.log.api import Event, ReadMode
from streamcli.log.reader import Beginning, Reader
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.event import Arrived, DecodedEvent
from streamcli.model.fingerprint import fingerprint
from streamcli.model.message import Message, Unreadable, decode
from streamcli.system import guard
from tests.fake_controller import run, until
from tests.scripted_log import ScriptedLog

PATIENCE = 10.0  # seconds
OPENED = LogOpened.one("log", 0, 0)
CAUGHT_UP = "caught up"


class Disk:
    """Where a reader stores, with a disk that does what a test says."""

    def __init__(self, store: Callable[[Sequence[DecodedEvent]], None]) -> None:
        self._store = store
        self.opened_at: list[tuple[Cursor, bool]] = []
        self.stored: list[str] = []
        self.cursors: list[Cursor] = []  # those that what was stored followed
        self.known: set[str] = set()
        self.keys: list[bytes] = []
        self.closed = False

    def opened(self, cursor: Cursor, another: bool) -> None:
        self.opened_at.append((cursor, another))

    def store(self, segment: str, events: Sequence[DecodedEvent], keys: Sequence[bytes], cursor: Cursor) -> list[bool]:
        self._store(events)
        self.cursors.append(cursor)
        self.keys += keys
        texts = [text_of(event.content) for event in events]
        self.stored += texts
        return [text not in self.known for text in texts]

    def close(self) -> None:
        self.closed = True


class Desk:
    """A reader, the log that it reads, and what its listener was told."""

    def __init__(self, store: Callable[[Sequence[DecodedEvent]], None], cursor: Cursor | None) -> None:
        self.told: list[str] = []
        self.fresh: list[bool] = []
        self.beginnings: list[Beginning] = []
        self.shows, self.unshown = True, list[Callable[[], None]]()
        self.own_unread_since: float | None = None
        self.seconds = 1000.0
        self.taken = 0
        self.segment = ""  # that the next events are in
        self.disk, self.log = Disk(store), ScriptedLog()
        self.reader = Reader(
            self.log,
            ReadMode.FOLLOW,
            self,
            self.disk,
            lambda: self.own_unread_since,
            cursor,
            lambda: self.seconds,
        )

    def opened(self, opened: LogOpened, beginning: Beginning) -> None:
        self.beginnings.append(beginning)

    def arrived(self, batch: list[Arrived], shown: Callable[[], None]) -> None:
        self.told += [text_of(event.content) for event in batch]
        self.fresh += [event.fresh for event in batch]
        self.unshown.append(shown)
        if self.shows:
            self.unshown.pop()()

    def caught_up(self) -> None:
        self.told.append(CAUGHT_UP)

    def stuck(self, passable: bool) -> None:
        self.told.append(f"stuck, {passable}")

    def brings(self, batch: list[Event]) -> None:
        """In the log's thread."""
        self.log.reader.events(self.segment, batch, self._take)

    def _take(self) -> None:
        self.taken += 1

    def hears(self, *what: LogOpened | list[Event] | str | bool) -> threading.Thread:
        """A connection brings this, in a thread that ends when the reader has used all of it."""

        def listen() -> None:
            for one in what:
                if isinstance(one, LogOpened):
                    self.segment = next(iter(one.starts), "")
                    self.log.reader.connected(one)
                    self.loop.call_soon_threadsafe(self.log.reader.opened, one)
                elif isinstance(one, list):
                    self.brings(one)
                elif isinstance(one, bool):
                    self.log.reader.stuck(one)
                else:
                    self.log.reader.caught_up()
            self.log.reader.ended()

        self.loop = asyncio.get_running_loop()
        thread = threading.Thread(target=listen)
        thread.start()
        return thread

    async def has_heard(self, *what: LogOpened | list[Event] | str | bool) -> None:
        """The same, and wait for it."""
        thread = self.hears(*what)
        await until(lambda: not thread.is_alive())
        await asyncio.sleep(0)


def text_of(content: Message | Unreadable) -> str:
    return cast(Message, content).message


def said(*texts: str, at: int = 0) -> list[Event]:
    """Events from offset ``at`` on."""
    events = []
    for text in texts:
        data = json.dumps({"sender": "alex", "message": text}).encode()
        events.append(Event(at, at := at + 8 + len(data), data))
    return events


def at_a_desk(
    check: Callable[[Desk], Coroutine[Any, Any, None]],
    store: Callable[[Sequence[DecodedEvent]], None] = lambda events: None,
    cursor: Cursor | None = None,
) -> None:
    async def main() -> None:
        desk = Desk(store, cursor)
        try:
            await check(desk)
        finally:
            desk.reader.close()
        assert desk.disk.closed

    run(main())


def test_what_follows_a_slow_batch_waits_for_it_and_the_end_waits_for_all() -> None:
    storing, quick = threading.Event(), threading.Event()

    def store(events: Sequence[DecodedEvent]) -> None:
        if len(events) == 2:
            storing.set()
            assert quick.wait(PATIENCE)

    async def check(desk: Desk) -> None:
        thread = desk.hears(OPENED, said("one", "two"), said("three"), CAUGHT_UP, True)
        await until(storing.is_set)
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert thread.is_alive(), "the next connection would begin before what this one brought is stored"
        assert desk.told == []
        quick.set()
        await until(lambda: not thread.is_alive())
        await asyncio.sleep(0)
        assert desk.told == ["one", "two", "three", CAUGHT_UP, "stuck, True"]

    at_a_desk(check, store)


def test_the_next_batch_is_decoded_while_one_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, both = [], threading.Event()

    def store(events: Sequence[DecodedEvent]) -> None:
        assert both.wait(PATIENCE), "the second batch waits for the first one to be stored"

    def counting(data: bytes, offset: int) -> Message | Unreadable:
        decoded.append(data)
        if len(decoded) == 2:
            both.set()
        return decode(data, offset)

    monkeypatch.setattr(reader_module, "decode", counting)

    async def check(desk: Desk) -> None:
        await desk.has_heard(OPENED, said("one"), said("two"))
        assert desk.told == ["one", "two"]

    at_a_desk(check, store)


def test_behind_a_batch_that_failed_nothing_is_taken_until_a_new_connection_brings_it_again() -> None:
    failing = True

    def store(events: Sequence[DecodedEvent]) -> None:
        if failing and len(events) == 2:
            raise MemoryError

    async def check(desk: Desk) -> None:
        nonlocal failing
        one = said("one")
        rest = said("two", "three", at=one[0].end)
        last = said("four", at=rest[-1].end)
        await desk.has_heard(OPENED, one, rest, last, CAUGHT_UP)
        assert desk.told == ["one"]
        assert desk.log.connection.replaced == 1
        cursor = desk.log.reader.cursor()
        assert cursor and cursor.at("log#0") == one[0].end, "the next one begins behind what was stored"
        failing = False
        await desk.has_heard(LogOpened.one("log", one[0].end, last[0].end), rest, last, CAUGHT_UP)
        assert desk.told == ["one", "two", "three", "four", CAUGHT_UP]
        assert desk.log.connection.replaced == 1

    at_a_desk(check, store)


def test_what_is_read_while_leaving_is_stored_and_not_shown() -> None:
    leaving = threading.Event()

    async def check(desk: Desk) -> None:
        await desk.has_heard(OPENED)
        desk.brings(said("one"))
        threading.Timer(0.05, leaving.set).start()
        desk.reader.close()
        assert desk.disk.stored == ["one"]
        await desk.has_heard(said("two"), CAUGHT_UP, OPENED)
        assert desk.disk.stored == ["one"]
        assert desk.disk.opened_at == [(Cursor("log", {"log#0": 0}), False)]
        assert desk.told == []

    def store(events: Sequence[DecodedEvent]) -> None:
        assert leaving.wait(PATIENCE)

    at_a_desk(check, store)


@pytest.mark.parametrize(("segments", "patient"), [(1, True), (2, False)])
def test_who_brings_what_stands_before_our_own_message_is_not_overdue(segments: int, patient: bool) -> None:
    async def check(desk: Desk) -> None:
        desk.own_unread_since = 900.0
        await desk.has_heard(OPENED if segments == 1 else LogOpened("log", segments))
        assert desk.log.reader.due_since(1000.0) == 900.0, "idle, and our own message is in the log"
        assert desk.log.reader.due_since(800.0) == 800.0
        await desk.has_heard(said("before it"))
        expected = 1000.0 if patient else 900.0  # on several segments ours may stand in one that is stuck
        assert desk.log.reader.due_since(1001.0) == expected
        desk.own_unread_since = None
        assert desk.log.reader.due_since(1001.0) == 1001.0

    at_a_desk(check)


def test_the_log_waits_for_a_screen_that_is_slow_and_is_not_overdue_meanwhile() -> None:
    async def check(desk: Desk) -> None:
        desk.shows = False
        await desk.has_heard(OPENED, said("one"), said("two"))
        assert desk.told == ["one", "two"]
        assert desk.taken == 0
        assert desk.log.reader.due_since(0.0) is None
        desk.unshown.pop(0)()
        assert desk.taken == 1
        assert desk.log.reader.due_since(0.0) is None
        desk.unshown.pop(0)()
        assert desk.taken == 2
        assert desk.log.reader.due_since(7.0) == 7.0

    at_a_desk(check)


def test_what_cannot_be_stored_twice_is_reported() -> None:
    errors: list[BaseException] = []

    def store(events: Sequence[DecodedEvent]) -> None:
        if text_of(events[0].content) == "bad":
            raise ArithmeticError

    async def check(desk: Desk) -> None:
        guard.on_error(errors.append)
        await desk.has_heard(OPENED, said("bad"))
        await desk.has_heard(OPENED, said("good"))
        await desk.has_heard(OPENED, said("bad"))
        assert errors == [], "the connection between was of use"
        await desk.has_heard(OPENED, said("bad"))
        assert [type(error) for error in errors] == [ArithmeticError]

    at_a_desk(check, store)


def test_the_cursor_moves_with_what_is_stored() -> None:
    async def check(desk: Desk) -> None:
        assert desk.log.reader.cursor() == Cursor()
        assert desk.log.mode is ReadMode.FOLLOW
        assert desk.reader.progress is None
        batch = said("one", "two", at=100)
        rest = said("three", at=batch[-1].end)
        half = LogOpened.one("log", 100, 100 + 2 * (batch[-1].end - 100))
        await desk.has_heard(half, batch)
        last = batch[-1]
        read = Cursor("log", {"log#0": last.end}, ("log#0", last.offset, fingerprint(last.data)))
        assert desk.log.reader.cursor() == read
        assert desk.disk.opened_at == [(Cursor("log", {"log#0": 100}), False)]
        assert desk.reader.progress == 0.5
        await desk.has_heard(rest)
        assert desk.disk.cursors == [Cursor("log", {"log#0": 100}), read]
        assert len(set(desk.disk.keys)) == 3

    at_a_desk(check)


def test_what_is_not_new_is_told_as_such() -> None:
    async def check(desk: Desk) -> None:
        desk.disk.known.add("known")
        await desk.has_heard(OPENED, said("new", "known"))
        assert desk.told == ["new", "known"]
        assert desk.fresh == [True, False]

    at_a_desk(check)


@pytest.mark.parametrize(
    ("opened", "beginning"),
    [
        (LogOpened.one("log", 50, 90), Beginning()),
        (LogOpened.one("log", 70, 90), Beginning(missed=20)),
        (LogOpened.one("log", 0, 90), Beginning(another=True)),
        (LogOpened.one("other", 50, 90), Beginning(another=True)),
        (LogOpened("log", 2), Beginning()),
    ],
    ids=["on", "head cut off", "shorter", "made anew", "split"],
)
def test_how_a_connection_begins_is_told(opened: LogOpened, beginning: Beginning) -> None:
    before = Cursor("log", {"log#0": 50})

    async def check(desk: Desk) -> None:
        assert desk.log.reader.cursor() == before
        await desk.has_heard(opened)
        assert desk.beginnings == [beginning]
        assert desk.disk.opened_at == [(before.opened_at(opened), beginning.another)]
        await desk.has_heard(opened)
        assert desk.beginnings[1:] == [Beginning()], "against what the connection before began with"

    at_a_desk(check, cursor=before)
