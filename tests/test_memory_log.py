"""What tests can have done to a log in memory. What it shares with the real one stands in test_log_contract.py."""

from __future__ import annotations

from streamcli.log.api import ConnectionStatus, Event
from tests.fake_controller import run, until
from tests.log_users import Appending, Reading, segment_of, start_of, used
from tests.memory_log import MemoryLog
from tests.memory_stream import MemoryStream


def test_what_was_made_anew_is_another_log_and_who_appends_is_told() -> None:
    async def main() -> None:
        stream = MemoryStream()
        stream.write(b"old")
        log = MemoryLog(stream)
        reading, appending = Reading(log), Appending(log)
        async with used(log):
            await reading.has(1)
            await appending.opens()
            stream.make_anew()
            await appending.opens(times=2)
            await appending.appends([b"new"])
            assert reading.datas == [b"old"], "it waits for ever for the log that is gone"
            reading.connection.replace()
            await reading.has(2)
        old, new = reading.connections
        assert appending.logs == [old.log, new.log]
        assert old.log != new.log and segment_of(old) != segment_of(new)
        assert reading.all[1].offset == start_of(new) == 0

    run(main())


def test_on_several_segments_each_connection_brings_everything() -> None:
    async def main() -> None:
        stream = MemoryStream(segments=2)
        stream.write(b"one", key="a")
        stream.write(b"two", key="d")
        log = MemoryLog(stream)
        reading = Reading(log)
        async with used(log):
            await reading.has(2)
            reading.connection.replace()
            await reading.has(4)
        assert reading.all == [Event(0, 11, b"one"), Event(0, 11, b"two")] * 2
        assert {(opened.segments, segment_of(opened), start_of(opened)) for opened in reading.connections} == {
            (2, "", 0)
        }

    run(main())


def test_reading_begins_at_a_head_that_was_cut_and_follows_one_that_broke_off() -> None:
    async def main() -> None:
        stream = MemoryStream()
        stream.write(b"one", b"two", b"three")
        second = stream.events()[1]
        stream.cut_head(second.offset)
        log = MemoryLog(stream)
        reading = Reading(log)
        async with used(log):
            await reading.has(2)
            assert log.reading
            log.reading.break_off()
            await until(lambda: len(reading.openings) == 2)
            stream.write(b"four")
            await reading.has(3)
            log.reading.be_stuck(passable=False)
            await until(lambda: "stuck" in reading.calls)
            log.reading.be_stuck(passable=True)
            await until(lambda: len(reading.openings) == 3)
        assert start_of(reading.connections[0]) == second.offset
        assert reading.datas == [b"two", b"three", b"four"]

    run(main())


def test_acknowledgements_are_held_back_and_lost_with_their_connection() -> None:
    async def main() -> None:
        stream = MemoryStream()
        log = MemoryLog(stream)
        appending = Appending(log)
        async with used(log):
            await appending.opens()
            assert log.appending
            log.appending.hold_acknowledgements()
            appending.connection.append("lobby", [b"one", b"two", b"three"])
            await until(lambda: len(stream.events()) == 3)
            assert appending.count == 0
            log.appending.release_acknowledgements(2)
            assert appending.counts == [2]
            log.appending.break_off()
            await appending.opens(times=2)
            log.appending.release_acknowledgements()
            await appending.appends([b"four"])
            assert appending.counts == [2, 1]

    run(main())


def test_who_is_refused_is_told_and_connects_when_permitted() -> None:
    async def main() -> None:
        said: list[ConnectionStatus] = []
        log = MemoryLog(MemoryStream(), said.append)
        reading, appending = Reading(log), Appending(log)
        log.refuse("no such account")
        async with used(log):
            await until(lambda: said and said[-1].refused)
            assert str(said[-1].refusal) == "No such account."
            assert not reading.connections and not appending.logs
            log.permit()
            await until(lambda: reading.openings and appending.logs)
            await until(lambda: not said[-1].refused)

    run(main())
