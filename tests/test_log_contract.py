"""What every log keeps (streamcli.log.api), asked of the one in memory and of the real one on a real server."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import pytest

from streamcli.gate.token_bucket import Rate
from streamcli.log.api import ConnectionStatus, Event, Log, Phase, ReadMode, Target
from streamcli.log.gate.adapter import GateLog
from streamcli.log.opening import open_log
from streamcli.model.address import Stream, WantedClient, parse_url
from streamcli.model.cursor import Cursor
from tests.conftest import Server
from tests.fake_controller import run, until
from tests.gate_running import GateThread
from tests.log_users import ENDS_WITHIN, Appending, Reading, segment_of, start_of, tail_of, used
from tests.memory_log import MemoryLog
from tests.memory_stream import MemoryStream

AHEAD = 2  # batches that may come without being taken
MOST_AHEAD = 3_100_000  # bytes of events that may come if they are more
LARGE = 60_000  # bytes
FIVE_BATCHES = [number.to_bytes(2, "big") * (LARGE // 2) for number in range(80)]  # 4.8 MB
SETTLED = 0.5  # seconds after which what was not to come would have come


class Logs(Protocol):
    """Makes logs of one stream that does not exist before."""

    def __call__(self, on_status: Callable[[ConnectionStatus], None] = ...) -> Log: ...


def ignored(status: ConnectionStatus) -> None:
    pass


@pytest.fixture(
    params=[
        "memory",
        pytest.param("wheel", marks=[pytest.mark.real, pytest.mark.wheel]),
        pytest.param("java", marks=pytest.mark.real),
        pytest.param("gate", marks=pytest.mark.real),
    ]
)
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Logs]:
    if request.param == "memory":
        memory = MemoryStream()
        yield lambda on_status=ignored: MemoryLog(memory, on_status)
        return
    server: Server = request.getfixturevalue("server")
    controller = parse_url(server.url)
    stream = Stream(stream=request.getfixturevalue("stream"))
    if request.param == "gate":
        gate = GateThread(tmp_path, server.url, stream.stream)
        with gate.running(check=lambda guest, key, data: "", rate=Rate(1e6, 1e6)):
            chat = gate.guest("tim")
            yield lambda on_status=ignored: GateLog(chat, on_status)
        return
    client = WantedClient(request.param)
    target = Target(stream, "tim", lambda: controller, tmp_path / "groups", subprocess.DEVNULL, client)
    yield lambda on_status=ignored: open_log(target, on_status)


async def stalled(reading: Reading) -> int:
    """Wait until nothing more comes to who takes nothing; return how many batches have come."""
    await until(lambda: len(reading.batches) >= AHEAD)
    while True:
        before = len(reading.batches)
        await asyncio.sleep(SETTLED)
        if len(reading.batches) == before:
            return before


def size_of(events: Sequence[Event]) -> int:
    """How many bytes these events have."""
    return sum(len(event.data) for event in events)


def numbered(count: int, name: str = "event") -> list[bytes]:
    return [f"{name} {number}".encode() for number in range(count)]


async def have_past(logs: Logs, *datas: bytes) -> None:
    """Have events in the log before a test begins to read."""
    log = logs()
    appending = Appending(log)
    async with used(log):
        await appending.opens()
        await appending.appends(datas)


async def content(logs: Logs, count: int) -> list[bytes]:
    """All that is in the log, which is ``count`` events or more."""
    log = logs()
    reading = Reading(log)
    async with used(log):
        await until(lambda: "caught_up" in reading.calls)
        await reading.has(count)
    return reading.datas


def test_events_come_in_the_logs_order_and_each_begins_where_the_one_before_ends(logs: Logs) -> None:
    async def main() -> None:
        await have_past(logs, *numbered(20))
        log = logs()
        reading = Reading(log)
        async with used(log):
            await reading.has(20)
            await until(lambda: reading.openings)
        assert reading.datas == numbered(20)
        opened = reading.connections[0]
        assert reading.openings == [opened]
        assert opened.segments == 1 and segment_of(opened)
        assert start_of(opened) == reading.all[0].offset
        assert all(event.offset == before.end for before, event in pairwise(reading.all))
        assert all(event.end == event.offset + 8 + len(event.data) for event in reading.all)
        assert tail_of(opened) == reading.all[-1].end
        assert reading.wrong_threads == []

    run(main())


def test_a_cursor_in_the_middle_brings_exactly_the_rest(logs: Logs) -> None:
    async def main() -> None:
        await have_past(logs, *numbered(10))
        log = logs()
        whole = Reading(log)
        async with used(log):
            await whole.has(10)
        opened, middle = whole.connections[0], whole.all[6]
        log = logs()
        rest = Reading(log, Cursor(opened.log, {segment_of(opened): middle.end}))
        async with used(log):
            await until(lambda: "caught_up" in rest.calls)
        assert rest.all == whole.all[7:]
        assert start_of(rest.connections[0]) == middle.end
        for strange in (Cursor(opened.log, {"another": middle.end}), Cursor(opened.log, {segment_of(opened): 1 << 40})):
            log = logs()
            again = Reading(log, strange)
            async with used(log):
                await until(lambda again=again: "caught_up" in again.calls)  # type: ignore[misc]
            assert again.all == whole.all, "from the head"

    run(main())


def test_who_begins_at_the_end_is_brought_only_what_comes(logs: Logs, request: pytest.FixtureRequest) -> None:
    if "[gate]" in request.node.name:
        pytest.skip("a guest says how far they have read")

    async def main() -> None:
        await have_past(logs, *numbered(3, "past"))
        log = logs()
        reading, appending = Reading(log, None), Appending(log)
        async with used(log):
            await until(lambda: "caught_up" in reading.calls)
            await appending.opens()
            await appending.appends([b"live"])
            await reading.has(1)
            opened = reading.connections[0]
            assert start_of(opened) == tail_of(opened) == reading.all[0].offset
            reading.connection.replace()
            await until(lambda: reading.calls.count("caught_up") == 2)
        assert reading.datas == [b"live"], "the next connection goes on there"

    run(main())


def test_each_connection_is_caught_up_once_and_after_the_past(logs: Logs) -> None:
    async def main() -> None:
        await have_past(logs, *numbered(5))
        log = logs()
        reading, appending = Reading(log), Appending(log)
        async with used(log):
            await until(lambda: "caught_up" in reading.calls)
            assert reading.datas == numbered(5)
            await appending.opens()
            await appending.appends([b"live"])
            await reading.has(6)
            reading.connection.replace()
            await until(lambda: reading.calls.count("caught_up") == 2)
            await appending.appends([b"live again"])
            await reading.has(7)
        first = ["connected", "events", "caught_up", "events", "ended"]
        assert reading.calls == [*first, "connected", "caught_up", "events", "ended"]

    run(main())


def test_what_is_live_follows_the_past(logs: Logs) -> None:
    async def main() -> None:
        await have_past(logs, *numbered(3, "past"))
        log = logs()
        reading, appending = Reading(log), Appending(log)
        async with used(log):
            await until(lambda: "caught_up" in reading.calls)
            await appending.opens()
            for data in numbered(3, "live"):
                await appending.appends([data])
            await reading.has(6)
        assert reading.datas == numbered(3, "past") + numbered(3, "live")
        assert all(event.offset == before.end for before, event in pairwise(reading.all))
        assert appending.logs == [reading.connections[0].log]

    run(main())


def test_what_is_acknowledged_is_in_the_log_and_is_counted_exactly(logs: Logs) -> None:
    async def main() -> None:
        log = logs()
        appending = Appending(log)
        async with used(log):
            await appending.opens()
            assert appending.connection.is_open
            await appending.appends(numbered(1))
            assert await content(logs, 1) == numbered(1)
            appending.connection.append("lobby", numbered(4)[1:])
            appending.connection.append("lobby", numbered(10)[4:])
            await until(lambda: appending.count >= 10)
            await asyncio.sleep(SETTLED)
            assert appending.count == 10
            assert min(appending.counts) > 0
            assert await content(logs, 10) == numbered(10)
        assert appending.wrong_threads == []

    run(main())


def test_two_append_side_by_side(logs: Logs) -> None:
    async def main() -> None:
        both = [logs(), logs()]
        first, second = map(Appending, both)
        async with used(*both):
            await first.opens()
            await second.opens()
            assert first.logs == second.logs
            await asyncio.gather(first.appends(numbered(50, "first")), second.appends(numbered(50, "second")))
            assert (first.count, second.count) == (50, 50)
        datas = await content(logs, 100)
        assert [data for data in datas if data.startswith(b"first")] == numbered(50, "first")
        assert [data for data in datas if data.startswith(b"second")] == numbered(50, "second")
        assert len(datas) == 100

    run(main())


def test_no_more_comes_than_is_taken_but_for_two_batches_or_two_megabytes(logs: Logs) -> None:
    async def main() -> None:
        await have_past(logs, *FIVE_BATCHES)
        log = logs()
        reading = Reading(log)
        reading.takes = False
        async with used(log):
            ahead = await stalled(reading)
            assert ahead == AHEAD or size_of(reading.all) <= MOST_AHEAD
            assert "caught_up" not in reading.calls
            reading.untaken.pop(0)()
            await until(lambda: len(reading.batches) > ahead)
            more = await stalled(reading)
            assert more <= ahead + 2 or size_of(reading.all) <= MOST_AHEAD + size_of(reading.batches[0])
            reading.take_all()
            await reading.has(len(FIVE_BATCHES))
        assert reading.datas == FIVE_BATCHES

    run(main())


def test_a_replaced_connection_goes_on_at_the_cursor_and_is_not_told_what_the_one_before_brought(logs: Logs) -> None:
    async def main() -> None:
        await have_past(logs, *FIVE_BATCHES)
        log = logs()
        reading = Reading(log)
        reading.takes = False
        async with used(log):
            ahead = await stalled(reading)
            assert reading.openings
            reading.connection.replace()
            assert not reading.connection.is_open
            await until(lambda: len(reading.openings) == 2)
            assert reading.connection.is_open
            assert start_of(reading.connections[1]) == reading.batches[ahead - 1][-1].end
            both = await stalled(reading)
            assert both > ahead
            for _ in range(ahead):
                reading.untaken.pop(0)()
            assert await stalled(reading) == both, "what the connection before brought does not count"
            reading.take_all()
            await until(lambda: "caught_up" in reading.calls)
        assert reading.datas == FIVE_BATCHES
        assert reading.calls[: ahead + 3] == ["connected", *["events"] * ahead, "ended", "connected"]

    run(main())


def test_a_replaced_connection_opens_again_for_who_appends(logs: Logs) -> None:
    async def main() -> None:
        log = logs()
        appending = Appending(log)
        async with used(log):
            await appending.opens()
            await appending.appends([b"before"])
            appending.connection.replace()
            assert not appending.connection.is_open
            await appending.opens(times=2)
            await appending.appends([b"after"])
            assert appending.counts == [1, 1]
        assert appending.logs[0] == appending.logs[1]
        assert await content(logs, 2) == [b"before", b"after"]

    run(main())


def test_what_is_appended_while_not_open_is_dropped(logs: Logs) -> None:
    async def main() -> None:
        log = logs()
        appending = Appending(log)
        appending.connection.append("lobby", [b"before it runs"])
        async with used(log):
            while not appending.logs:
                appending.connection.append("lobby", [b"before it opens"])
                await asyncio.sleep(0)
            appending.connection.replace()
            appending.connection.append("lobby", [b"between two"])
            await appending.opens(times=2)
            await appending.appends([b"kept"])
            await asyncio.sleep(SETTLED)
            assert appending.count == 1
        assert await content(logs, 1) == [b"kept"]

    run(main())


def test_events_may_hold_any_bytes(logs: Logs) -> None:
    datas = [b"", bytes(range(256)), b"\n\0\r\n" * 3, b"x" * LARGE, b"", "\N{SNOWMAN} ü".encode(), b"{"]

    async def main() -> None:
        await have_past(logs, *datas)
        log = logs()
        reading, appending = Reading(log), Appending(log)
        async with used(log):
            await until(lambda: "caught_up" in reading.calls)
            assert reading.datas == datas
            await appending.opens()
            await appending.appends(datas[1:4])
            await reading.has(len(datas) + 3)
        assert reading.datas == datas + datas[1:4]
        assert all(event.offset == before.end for before, event in pairwise(reading.all))

    run(main())


def test_who_only_looks_is_told_that_the_stream_is_missing_until_somebody_makes_it(
    logs: Logs, request: pytest.FixtureRequest
) -> None:
    if "[gate]" in request.node.name:
        pytest.skip("a gate makes the stream before anybody can look")

    async def main() -> None:
        said: list[ConnectionStatus] = []
        log = logs(said.append)
        reading = Reading(log, mode=ReadMode.LOOK)
        async with used(log):
            await until(lambda: said and said[-1].missing)
            assert said[-1].words and said[-1].phase is Phase.CONNECTING and not said[-1].refused
            assert not reading.connections
            await have_past(logs, b"made")
            await reading.has(1)
            await until(lambda: said[-1].phase is Phase.LIVE)
            assert not said[-1].missing and not said[-1].words
        assert reading.datas == [b"made"]

    run(main())


def test_the_status_is_well_when_all_connections_are_open(logs: Logs) -> None:
    async def main() -> None:
        said: list[ConnectionStatus] = []
        log = logs(said.append)
        reading, appending = Reading(log), Appending(log)
        async with used(log):
            await until(lambda: said and said[-1].phase is Phase.LIVE)
            assert reading.connection.is_open and appending.connection.is_open
            appending.connection.replace()
            phases = [Phase.LIVE, Phase.CONNECTING, Phase.LIVE]
            await until(lambda: [status.phase for status in said[-3:]] == phases)
            assert appending.connection.is_open
            assert said[-1].refusal is None

    run(main())


@pytest.mark.parametrize("when", ["before it is open", "while it waits for what is not taken", "live"])
def test_what_is_killed_ends_and_calls_nobody(logs: Logs, when: str) -> None:
    async def main() -> None:
        await have_past(logs, *FIVE_BATCHES)
        log = logs()
        reading, appending = Reading(log), Appending(log)
        reading.takes = when == "live"
        running = asyncio.create_task(log.run())
        if when == "live":
            await until(lambda: "caught_up" in reading.calls)
        elif when != "before it is open":
            await stalled(reading)
        else:
            await asyncio.sleep(0)
        log.kill()
        assert not reading.connection.is_open and not appending.connection.is_open
        await asyncio.wait_for(running, ENDS_WITHIN)
        log.close()
        calls, openings = list(reading.calls), (len(reading.openings), len(appending.logs))
        assert not calls or calls[-1] == "ended"
        await have_past(logs, b"later")
        await asyncio.sleep(SETTLED)
        assert reading.calls == calls
        assert (len(reading.openings), len(appending.logs)) == openings

    run(main())
