"""What the writer remembers of each message, whatever happens to its connection and to the log."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from streamcli.log.writer import NOT_PERMITTED, Writer
from streamcli.model.event import Entry
from streamcli.model.message import Ids, Unreadable, as_typed, make
from streamcli.storage.directories import Places
from streamcli.storage.outbox_thread import OutboxThread
from streamcli.system.clock import SYSTEM
from tests.scripted_log import ScriptedLog


class Desk:
    """A writer, the log that it appends to, its outbox, and time."""

    def __init__(self, root: Path, first_id: int = 0) -> None:
        self.seconds = 0.0
        self.said: list[str] = []
        self.not_taken: list[Entry] = []
        numbers = itertools.count(first_id)
        start = datetime(2026, 1, 1, tzinfo=timezone.utc)
        clock = replace(SYSTEM, now=lambda: start + timedelta(seconds=self.seconds), monotonic=lambda: self.seconds)
        ids = Ids(lambda: next(numbers), lambda size: bytes(size))
        self.outbox = OutboxThread(Places("tim", root), "address", self.said.append)
        self.log = ScriptedLog()
        self.connection = self.log.connection
        self.connection.on_append = self._append
        self.given: list[str] = []  # to the connection, since it was opened
        self.datas: list[bytes] = []  # all that was given, as bytes
        self.events: list[dict[str, str]] = []  # the same, as objects
        self.rooms: set[str] = set()
        self.acknowledgements = 0  # told by the writer
        self.writer = Writer(self.log, "tim", "lobby", ids, clock, self.outbox, self)

    def _append(self, routing_key: str, datas: list[bytes]) -> None:
        assert self.connection.is_open, "it would be lost"
        self.rooms.add(routing_key)
        self.datas += datas
        self.events += map(json.loads, datas)
        self.given += [event["message"] for event in self.events[-len(datas) :]]

    def types(self, *lines: str) -> None:
        for line in lines:
            self.writer.send("chat", line)

    def opens(self, log: str) -> list[str]:
        """A new connection opens ``log``; what it is given at once."""
        self.connection.is_open, self.given = True, []
        self.log.appender.opened(log)
        return self.given

    def writes(self, count: int) -> None:
        """The server acknowledges ``count`` more."""
        self.log.appender.acknowledged(count)

    def acknowledged(self) -> None:
        self.acknowledgements += 1

    def refused(self, entries: Sequence[Entry]) -> None:
        self.not_taken.extend(entries)

    def stream_gone(self) -> None:
        self.said.append("gone")

    def ends(self, tell: Callable[[], None]) -> None:
        """The connection ends, and the log says why by ``tell``."""
        self.connection.is_open = False
        tell()

    async def settled(self) -> None:
        """Until the outbox has done what it was told, and has said so."""
        await self.outbox.settle()
        await asyncio.sleep(0)

    def unsent(self) -> list[str]:
        return [entry.message.message for entry in self.writer.unsent]


def at_a_desk(test: Callable[[Desk], object]) -> None:
    async def main(root: Path) -> None:
        desk = Desk(root)
        try:
            await desk.settled()
            result = test(desk)
            if asyncio.iscoroutine(result):
                await result
        finally:
            desk.outbox.close()

    with tempfile.TemporaryDirectory() as root:
        asyncio.run(main(Path(root)))


def test_what_was_typed_before_the_connection_opened_goes_first_and_once() -> None:
    async def check(desk: Desk) -> None:
        desk.types("one", "two")
        assert desk.opens("log") == ["one", "two"]
        desk.types("three")
        assert desk.given == ["one", "two", "three"]
        desk.writes(2)
        assert desk.unsent() == ["three"]
        assert desk.acknowledgements == 1
        assert desk.opens("log") == ["three"]
        assert desk.rooms == {"lobby"}

    at_a_desk(check)


def test_what_was_read_back_is_not_sent_again_though_its_acknowledgement_was_lost() -> None:
    def check(desk: Desk) -> None:
        desk.types("one", "two")
        desk.opens("log")
        id = desk.writer.unconfirmed[0].message.id
        mine, other = make("chat", "hi", sender="tim", id=id), make("chat", "hi", sender="alex", id=id)
        assert desk.writer.ours_among([other, mine, Unreadable(0, 0, "empty")]) == [id]
        assert desk.writer.ours_among([other]) == []
        desk.writer.read_back([id])
        assert desk.writer.ours_among([mine]) == []
        assert desk.opens("log") == ["two"]

    at_a_desk(check)


def test_another_log_gets_all_that_was_not_read_back_in_order() -> None:
    async def check(desk: Desk) -> None:
        desk.types("one", "two", "three")
        desk.opens("first")
        desk.writes(2)
        desk.writer.log_replaced("second")
        assert not desk.connection.is_open, "a writer of the old log is of no use"
        desk.types("four")
        desk.writes(2)  # the last words of the old connection say nothing of the new log
        assert desk.unsent() == ["one", "two", "three", "four"]
        assert desk.opens("second") == ["one", "two", "three", "four"]

    at_a_desk(check)


def test_a_connection_that_is_in_the_new_log_already_goes_on() -> None:
    async def check(desk: Desk) -> None:
        desk.types("one", "two", "three")
        desk.opens("first")
        desk.writes(1)
        assert desk.opens("second") == ["two", "three"]
        desk.writes(1)
        desk.writer.log_replaced("second")
        assert desk.connection.is_open
        assert desk.given == ["two", "three", "one"]
        desk.writes(2)
        assert desk.unsent() == []

    at_a_desk(check)


def test_what_is_acknowledged_but_not_read_back_is_held_against_one_reader_only() -> None:
    async def check(desk: Desk) -> None:
        desk.types("one")
        desk.opens("log")
        assert desk.writer.unread_since() is None
        desk.seconds = 5.0
        desk.writes(1)
        assert desk.writer.unread_since() == 5.0
        desk.writer.reader_replaced()
        assert desk.writer.unread_since() is None

    at_a_desk(check)


def test_an_acknowledgement_is_due_since_the_last_one_while_any_is_awaited() -> None:
    def check(desk: Desk) -> None:
        desk.opens("log")
        assert desk.log.appender.due_since(0.0) is None
        desk.seconds = 10.0
        desk.types("one")
        desk.seconds = 11.0
        desk.types("two")
        assert desk.log.appender.due_since(0.0) == 10.0
        assert desk.log.appender.due_since(10.5) == 10.5
        desk.seconds = 12.0
        desk.writes(1)
        assert desk.log.appender.due_since(0.0) == 12.0
        desk.writes(1)
        assert desk.log.appender.due_since(0.0) is None

    at_a_desk(check)


def test_each_hand_over_sends_the_bytes_that_were_typed_and_says_when_it_was() -> None:
    async def check(desk: Desk) -> None:
        desk.types("one")
        for seconds in (1.0, 60.0, 200_000.0, -2e9):  # at last somebody has set the clock to 1962
            desk.seconds = seconds
            desk.opens("log")
        assert {as_typed(event) for event in desk.datas} == {desk.writer.unconfirmed[0].event}
        times = [(fields["typed_at"], fields.get("sent_at")) for fields in desk.events]
        assert times == [
            ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z"),
            ("2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z"),
            ("2026-01-01T00:00:00.000Z", "2026-01-03T07:33:20.000Z"),
            ("2026-01-01T00:00:00.000Z", None),
        ]
        await desk.settled()
        content = await desk.outbox.content()
        assert content
        assert [entry.event for entry in content.waiting] == [desk.writer.unconfirmed[0].event]

    at_a_desk(check)


def test_what_a_newer_version_left_in_the_outbox_is_sent_with_its_own_bytes() -> None:
    newer = b'{"v":2,"sig":"ab","n":1.10,"sender":"tim","message":"one","id":"1","typed_at":"2025-01-01T00:00:00Z"}'

    async def main(root: Path) -> None:
        desk = Desk(root)
        desk.types("one")
        await desk.settled()
        outbox = desk.outbox._outbox
        assert outbox
        outbox._connection.execute("UPDATE entry SET event = ?", (newer,))
        desk.outbox.close()
        later = Desk(root, first_id=100)
        await later.settled()
        later.writer.live()
        later.opens("log")
        assert later.datas == [newer[:-1] + b', "sent_at": "2026-01-01T00:00:00.000Z"}']
        later.outbox.close()

    with tempfile.TemporaryDirectory() as root:
        asyncio.run(main(Path(root)))


def test_what_the_server_will_never_take_fails_with_a_reason_and_blocks_nobody() -> None:
    async def check(desk: Desk) -> None:
        desk.types("one", "two")
        desk.opens("log")
        desk.writes(1)
        desk.ends(desk.log.appender.refused)
        assert [(entry.message.message, entry.reason) for entry in desk.not_taken] == [("two", NOT_PERMITTED)]
        assert [entry.message.message for entry in desk.writer.unconfirmed] == ["one"]
        desk.types("three")
        assert desk.opens("log") == ["three"]
        await desk.settled()
        content = await desk.outbox.content()
        assert content
        assert [entry.text() for entry in content.waiting] == ["one", "three"]
        assert content.failures == desk.not_taken
        desk.writer.send_again(await desk.outbox.retry())
        assert desk.given == ["three", "two"]
        content = await desk.outbox.content()
        assert content
        assert [entry.text() for entry in content.waiting] == ["one", "two", "three"]  # each in its old place
        desk.ends(desk.log.appender.refused)
        assert [entry.message.message for entry in await desk.outbox.drop()] == ["two", "three"]
        (left,) = desk.writer.unconfirmed
        assert await desk.outbox.content() == ([Entry(left.message, None, left.event)], [], {})

    at_a_desk(check)


def test_a_stream_that_is_gone_is_told() -> None:
    async def check(desk: Desk) -> None:
        desk.types("one")
        desk.opens("log")
        desk.ends(desk.log.appender.stream_gone)
        assert desk.said == ["gone"]
        assert desk.unsent() == ["one"]

    at_a_desk(check)


def test_what_an_earlier_life_left_goes_first_once_the_log_was_read() -> None:
    async def main(root: Path) -> None:
        desk = Desk(root)
        await desk.settled()
        desk.types("one", "two", "three")
        await desk.settled()
        kept = [entry.message.id for entry in desk.writer.unconfirmed]
        assert desk.outbox.keeps(kept)
        desk.outbox.close()
        later = Desk(root, first_id=100)
        later.types("four")
        await later.settled()
        assert later.opens("log") == [], "what is in the log already need not be sent again: it is read first"
        later.writer.read_back([kept[1]])
        later.writer.live()
        assert later.given == ["one", "three", "four"]
        later.types("five")
        assert later.given[-1] == "five"
        later.outbox.close()

    with tempfile.TemporaryDirectory() as root:
        asyncio.run(main(Path(root)))


def test_what_a_full_disk_refused_is_kept_as_soon_as_there_is_room() -> None:
    async def test(desk: Desk) -> None:
        desk.types("before")
        await desk.settled()
        outbox = desk.outbox._outbox
        assert outbox
        (pages,) = outbox._connection.execute("PRAGMA page_count").fetchone()
        outbox._connection.execute(f"PRAGMA max_page_count={pages}")
        lines = [f"{number} {'x' * 5000}" for number in range(3)]
        desk.types(*lines)
        await desk.settled()
        assert "The disk is full" in desk.said[0] and len(desk.said) == 1
        ids = [entry.message.id for entry in desk.writer.unconfirmed]
        assert desk.outbox.keeps(ids[:1]) and not desk.outbox.keeps(ids)
        desk.writer.read_back([ids[2]])  # it was sent all the same
        outbox._connection.execute("PRAGMA max_page_count=1000000")
        await desk.settled()
        content = await desk.outbox.content()
        assert content
        assert [entry.message.message for entry in content.waiting] == ["before", lines[0], lines[2]]
        assert desk.outbox.keeps(entry.message.id for entry in desk.writer.unconfirmed)

    at_a_desk(test)


def test_without_a_clock_messages_have_no_time_and_keep_their_order() -> None:
    async def check(desk: Desk) -> None:
        for seconds in (-2e9, 6e9):  # 1962 and 2216
            desk.seconds = seconds
            desk.types(f"typed at {seconds:.0f}")
        desk.seconds = 0.0
        desk.types("typed today")
        entries = desk.writer.unsent
        assert desk.opens("log") == [entry.message.message for entry in entries]
        assert [entry.message.typed_at is None for entry in entries] == [True, True, False]
        ids = [entry.message.id for entry in entries]
        assert ids == sorted(ids)

    at_a_desk(check)


def test_a_message_read_back_before_it_was_kept_is_not_remembered_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        desk = Desk(tmp_path)
        message = make("chat", "quick", sender="tim", id="1", room="lobby", sent_at=None)
        desk.outbox.add(message)
        desk.outbox.sent([message.id])  # the disk is slower than the server
        await desk.outbox.settle()
        await asyncio.sleep(0.01)
        desk.outbox.close()
        await asyncio.sleep(0)
        assert not desk.outbox.keeps([message.id])

    asyncio.run(main())
