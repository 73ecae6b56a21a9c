"""What the gate's reader tells guests' connections while it reads."""

from __future__ import annotations

import asyncio

from streamcli.gate.shared_reader import SharedReader
from streamcli.log.api import Event
from streamcli.model.cursor import Cursor, LogOpened
from tests.scripted_log import ScriptedLog

SEGMENT = "log#0"
SAVED, TAIL = 100, 300
AT_TAIL = Cursor("log", {SEGMENT: TAIL})


def opened(start: int, tail: int = TAIL) -> LogOpened:
    return LogOpened("log", 1, {SEGMENT: start}, {SEGMENT: tail})


async def brought(log: ScriptedLog, first: int, end: int) -> None:
    log.reader.events(SEGMENT, [Event(first, end, b"event")], lambda: None)
    await asyncio.sleep(0)


def test_a_reader_that_begins_in_the_past_serves_nobody_until_it_has_caught_up() -> None:
    async def main() -> None:
        log, news = ScriptedLog(), list[Cursor]()
        reader = SharedReader(
            log, Cursor("log", {SEGMENT: SAVED}), lambda: news.append(reader.ring.cursor), lambda: None
        )
        log.connection.is_open = True
        log.reader.connected(opened(SAVED))
        await brought(log, SAVED, 200)
        assert reader.is_open and not reader.is_current
        assert not reader.ring.follows(AT_TAIL), "a guest who has read all is ahead of the ring"
        await brought(log, 200, TAIL)
        log.reader.caught_up()
        await asyncio.sleep(0)
        assert reader.is_current and reader.ring.follows(AT_TAIL)
        assert news[-1].offsets == {SEGMENT: TAIL}, "who waits for it is told"

    asyncio.run(main())


def test_a_reader_whose_ring_goes_on_after_a_break_stays_current_and_one_that_begins_anew_does_not() -> None:
    async def main() -> None:
        log, anew = ScriptedLog(), list[str]()
        reader = SharedReader(log, None, lambda: None, lambda: anew.append("anew"))
        log.connection.is_open = True
        log.reader.connected(opened(TAIL))
        log.reader.caught_up()
        log.reader.connected(opened(TAIL, 400))
        await asyncio.sleep(0)
        assert reader.is_current and anew == []
        log.reader.connected(opened(350, 400))
        await asyncio.sleep(0)
        assert not reader.is_current and anew == ["anew"]

    asyncio.run(main())
