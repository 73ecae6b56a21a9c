"""The host of Pravega's Java client on a real server, driven as the prompt's process drives it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from streamcli.log.frames import Frame
from streamcli.log.hand_over import BATCH
from streamcli.log.java.client import first_line, kind
from streamcli.log.java.requests import CleanRequest, ReadRequest
from streamcli.log.java.unusable import NO_JVM
from streamcli.log.supervisor import failure_of
from streamcli.log.write_request import WriteRequest
from streamcli.model.address import Controller, parse_url
from streamcli.model.fingerprint import fingerprint
from streamcli.model.segment import segment_name
from tests.conftest import Server, eventually
from tests.java_admin import Admin
from tests.java_host import WITHIN, HostProcess, LaneUser

pytestmark = pytest.mark.real
KEYS = [f"key-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def host() -> Iterator[HostProcess]:
    """One host for all tests."""
    with HostProcess() as process:
        yield process


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server.url) as process:
        yield process


class Log:
    """One stream, through one host."""

    def __init__(self, host: HostProcess, controller: Controller, stream: str) -> None:
        self._host, self.controller, self.stream = host, controller, stream
        self._lanes: list[LaneUser] = []

    def reads(
        self,
        offsets: dict[str, int] | None = None,
        last: tuple[str, int, str] | None = None,
        make: bool = True,
    ) -> LaneUser:
        request = ReadRequest("scope", self.stream, make, offsets or {}, last)
        return self._add(self._host.lane(self.controller, "read", request))

    def writes(self) -> LaneUser:
        return self._add(self._host.lane(self.controller, "write", WriteRequest("scope", self.stream))).is_open()

    def _add(self, lane: LaneUser) -> LaneUser:
        self._lanes.append(lane)
        return lane

    def close(self) -> None:
        for lane in self._lanes:
            lane.socket.close()


@pytest.fixture
def log(host: HostProcess, server: Server, stream: str) -> Iterator[Log]:
    log = Log(host, parse_url(server.url), stream)
    yield log
    log.close()


def cursor(lane: LaneUser) -> dict[str, int]:
    """Where to go on after what a lane has read, as the reader's cursor has it."""
    offsets = dict(lane.opened["starts"])
    for number, offset, data in lane.events:
        offsets[segment_name(lane.opened["log"], number)] = offset + 8 + len(data)
    return offsets


def in_order(datas: list[bytes]) -> None:
    """Events are "key number": each key's numbers come in order, none twice."""
    numbers: dict[bytes, list[int]] = defaultdict(list)
    for data in datas:
        key, number = data.split()
        numbers[key].append(int(number))
    for key, found in numbers.items():
        assert found == list(range(len(found))), key


class Numbered:
    """Writes "key number" under every key, again and again."""

    def __init__(self, lane: LaneUser) -> None:
        self._lane, self.count = lane, 0

    def write(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            for key in KEYS:
                self._lane.write(f"{key} {self.count}".encode(), key=key)
            self.count += 1

    @property
    def total(self) -> int:
        return self.count * len(KEYS)


def test_the_past_and_what_is_live_come_with_their_offsets_and_empty_events_too(log: Log) -> None:
    writer = log.writes()
    writer.write(b"one", b"", b"zwei \xc3\xbc")
    reader = log.reads().caught_up()
    assert reader.events == [(0, 0, b"one"), (0, 11, b""), (0, 19, b"zwei \xc3\xbc")]
    name = segment_name(writer.opened["log"], 0)
    tag = writer.opened["log"]
    assert tag.startswith("streamcli-log-")
    assert reader.opened == {"log": tag, "segments": 1, "starts": {name: 0}, "tails": {name: 34}}
    writer.write(b"", b"live")
    reader.has(5)
    assert reader.events[3:] == [(0, 34, b""), (0, 42, b"live")]
    reader.until(lambda: reader.frames[-1] is Frame.IDLE, 3)
    reader.end()
    writer.end()


def test_reading_goes_on_where_it_ended_if_that_is_the_same_log(log: Log) -> None:
    writer = log.writes()
    writer.write(*(b"%d" % number for number in range(5)))
    first = log.reads().caught_up()
    name = segment_name(writer.opened["log"], 0)
    _, at, data = first.events[2]
    rest = {name: first.events[3][1]}
    last = (name, at, fingerprint(data).hex())
    assert log.reads(rest, last).caught_up().datas == [b"3", b"4"]
    assert log.reads(cursor(first)).caught_up().datas == []
    for strange in (
        log.reads(rest, (name, at, fingerprint(b"another").hex())),
        log.reads({name: 1 << 40}),
        log.reads({segment_name("another", 0): 9}),
        log.reads({segment_name(writer.opened["log"], 7): 9}),
    ):
        assert strange.caught_up().datas == first.datas, "from the head"


def test_a_split_and_a_join_are_followed_while_events_are_written(log: Log, admin: Admin) -> None:
    reader, numbered = log.reads().caught_up(), Numbered(log.writes())
    numbered.write(2)
    changing = threading.Thread(target=_split_and_join, args=(admin, log.stream))
    changing.start()
    while changing.is_alive() or numbered.count < 10:
        numbered.write()
    changing.join()
    numbered.write(2)
    reader.has(numbered.total)
    assert len(reader.events) == numbered.total
    in_order(reader.datas)
    assert len({number for number, _, _ in reader.events}) > 3
    assert reader.opened["segments"] == 1

    again = log.reads().caught_up()
    in_order(again.datas)
    assert (len(again.datas), again.opened["segments"]) == (numbered.total, 2)
    assert len(again.opened["starts"]) == 1
    assert set(again.opened["tails"]) >= {segment_name(again.opened["log"], number) for number, _, _ in again.events}


def _split_and_join(admin: Admin, stream: str) -> None:
    admin.scale(stream, [0], [0.0, 0.3, 1.0])
    low, high = admin.current(stream)
    admin.scale(stream, [high], [0.3, 0.6, 1.0])
    low, middle, high = admin.current(stream)
    admin.scale(stream, [low, middle], [0.0, 0.6])


def test_reading_goes_on_from_offsets_across_a_split_and_a_join(log: Log, admin: Admin) -> None:
    numbered = Numbered(log.writes())
    numbered.write(2)
    first = log.reads().caught_up()
    numbered.write(1)
    admin.scale(log.stream, [0], [0.0, 0.5, 1.0])
    numbered.write(2)
    second = log.reads(cursor(first)).caught_up()
    read = first.datas + second.datas
    assert len(read) == numbered.total
    in_order(read)

    low, high = admin.current(log.stream)
    admin.scale(log.stream, [low, high], [0.0, 1.0])
    numbered.write(2)
    # One of the joined segments was read to its end, the other was not: what they have become has to wait.
    offsets = cursor(second)
    late = segment_name(second.opened["log"], high)
    skipped = next(event for event in second.events if event[0] == high)
    offsets[late] = skipped[1]
    third = log.reads(offsets).caught_up()
    assert third.opened["starts"] == {
        late: skipped[1],
        segment_name(second.opened["log"], low): offsets[segment_name(second.opened["log"], low)],
    }
    new = [event for event in third.events if event[0] > high]
    assert third.events[-len(new) :] == new, "the successor comes last"
    again = [event for event in third.events if event not in second.events]
    read += [data for _, _, data in again]
    assert len(read) == numbered.total
    in_order(read)
    fourth = log.reads(cursor(third)).caught_up()
    assert fourth.datas == []
    assert list(fourth.opened["starts"]) == [segment_name(second.opened["log"], new[0][0])]


def test_a_head_that_was_cut_off_is_passed_over(log: Log, admin: Admin) -> None:
    writer = log.writes()
    writer.write(*(b"%d" % number for number in range(6)))
    reader = log.reads().caught_up()
    name = segment_name(writer.opened["log"], 0)
    middle = reader.events[3][1]
    admin.truncate(log.stream, {0: middle})
    assert log.reads({name: 9}).caught_up().opened["starts"] == {name: middle}
    assert log.reads().caught_up().datas == [b"3", b"4", b"5"]
    # Cut off up to the split that replaces the segment.
    admin.scale(log.stream, [0], [0.0, 0.5, 1.0])
    low, high = admin.current(log.stream)
    admin.truncate(log.stream, {low: 0, high: 0})
    writer.write(b"new", key="any")
    late = log.reads({name: middle}).caught_up()
    assert late.datas == [b"new"]
    assert set(late.opened["starts"]) == {segment_name(writer.opened["log"], number) for number in (low, high)}
    reader.has(7)
    assert reader.datas[-1] == b"new"


def test_a_stream_that_is_deleted_is_gone(log: Log, admin: Admin) -> None:
    reader, writer = log.reads().caught_up(), log.writes()
    writer.write(b"one")
    reader.has(1)
    admin.seal(log.stream)
    assert log.reads(cursor(reader)).caught_up().fails()["kind"] == "gone"
    admin.delete(log.stream)
    assert reader.fails()["kind"] == "gone"
    assert writer.fails()["kind"] == "gone"
    assert log.reads(make=False).fails()["kind"] == "gone"


def test_a_stream_that_was_made_anew_is_another(log: Log, admin: Admin) -> None:
    admin.make(log.stream, 2)
    reader, writer = log.reads().caught_up(), log.writes()
    assert (reader.opened["log"], reader.opened["segments"], writer.opened["log"]) == ("", 2, "")
    writer.write(b"old")
    before = cursor(reader.has(1))
    admin.seal(log.stream)
    admin.delete(log.stream)
    admin.make(log.stream, 2)
    new = log.reads(before).caught_up()
    assert new.datas == []
    assert not set(new.opened["starts"]) & set(before)
    assert writer.fails()["kind"] == "gone"


def test_cleaning_deletes_the_stream(log: Log, host: HostProcess) -> None:
    log.writes().end()
    for _ in range(2):  # also when there is none
        cleaning = host.lane(log.controller, "clean", CleanRequest("scope", log.stream))
        cleaning.until_ended()
        assert cleaning.frames == [Frame.DONE]
    assert log.reads(make=False).fails()["kind"] == "gone"


def test_what_is_not_taken_is_waited_for(log: Log) -> None:
    log.writes().write(*(b"%d" % number + b"x" * 400_000 for number in range(12)))
    reader = log.reads()
    reader.takes = False
    reader.until(lambda: reader.events)
    for _ in range(10):
        reader.step(0.05)
    assert reader.frames.count(Frame.EVENTS) == 2
    reader.end()
    assert [data[:2].rstrip(b"x") for data in log.reads().caught_up().datas] == [b"%d" % number for number in range(12)]


def test_a_server_that_is_killed_ends_or_holds_lanes_and_they_can_be_ended(
    host: HostProcess, own_server: Server, stream: str
) -> None:
    log = Log(host, parse_url(own_server.url), stream)
    reader, writer = log.reads().caught_up(), log.writes()
    writer.write(b"one")
    with own_server.stopped_in_its_tracks():
        reader.frames.clear()
        for _ in range(25):
            reader.step()
        assert Frame.IDLE not in reader.frames[1:], "only the server's answer is a heartbeat"
        writer.send_write(b"two")
        opening = log.reads()
        time.sleep(0.3)
        for lane in (reader, writer, opening):
            lane.end()
    reader, writer = log.reads().caught_up(), log.writes()
    own_server.kill()
    writer.send_write(b"three")
    time.sleep(1)
    for lane in (reader, writer):
        lane.end()


def test_bulk_is_written_and_read_in_order(log: Log) -> None:
    datas = [b"%d " % number + b"x" * 150 for number in range(20_000)]
    writer = log.writes()
    writer.write(*datas)
    assert writer.written == len(datas)
    reader = log.reads().caught_up()
    assert reader.datas == datas
    assert max(reader.batches) == BATCH, "a frame holds what several reads brought"
    assert all(after[1] == before[1] + 8 + len(before[2]) for before, after in pairwise(reader.events))


def test_bytes_that_are_no_events_are_an_error_after_all_that_comes_before_them(log: Log, admin: Admin) -> None:
    log.writes().write(b"one")
    reader = log.reads().caught_up()
    admin.append_bytes(log.stream, "these are no events")
    assert reader.fails() == {"kind": "other", "text": "the stream holds no event at byte 11"}
    assert reader.datas == [b"one"]


def test_no_event_is_held_back_while_another_is_not_acknowledged(log: Log) -> None:
    writer, took = log.writes(), []
    for _ in range(10):
        start = time.monotonic()
        writer.write(b"one", b"two")
        took.append(time.monotonic() - start)
    assert min(took) < 0.03


def test_lanes_that_have_ended_leave_no_connection(log: Log, host: HostProcess) -> None:
    def connections() -> int:
        return len(psutil.Process(host.process.pid).net_connections("tcp"))

    reader = log.reads().caught_up()  # so that the manager stays
    log.writes().end()
    before = connections()
    for _ in range(4):
        writer = log.writes()
        writer.write(b"one")
        writer.end()
    eventually(lambda: connections() <= before, 5)
    reader.end()
    eventually(lambda: connections() == 0, 5)


def test_without_a_jvm_it_ends_and_says_why(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with HostProcess(said, jvm="/nowhere/libjvm.so") as process:
        assert process.process.wait(WITHIN) == 1
    assert said.read_text().startswith(f"{NO_JVM}/nowhere/libjvm.so: cannot open shared object file")


def test_a_part_of_the_server_that_is_away_is_said_in_plain_words() -> None:
    error = RuntimeError("java.net.ConnectException: finishConnect(..) failed: Connection refused: /127.0.0.1:6000")
    said = {"kind": kind(error), "text": first_line(error, None)}
    assert failure_of(said).words == "a part of the server is not there"
    for text, what in (
        ("NOT_FOUND: the stream", "gone"),
        ("io.pravega.client.segment.impl.NoSuchSegmentException: s", "gone"),
        ("UNAVAILABLE: io exception javax.net.ssl.SSLHandshakeException: no certificate", "other"),
        ("java.lang.ClassNotFoundException: io.pravega.client.ClientConfig", "unusable"),
        ("Class io.pravega.client.ClientConfig is not found", "unusable"),
        ("java.lang.NoClassDefFoundError: io/netty/util/Attribute", "unusable"),
        ("java.lang.NoClassDefFoundError: Could not initialize class io.netty.util.X", "other"),
        ("java.lang.IllegalStateException: Writers cannot proceed writing since the stream S is sealed", "sealed"),
    ):
        assert kind(RuntimeError(text)) == what
    assert failure_of({"kind": "sealed", "text": "x"}).words.startswith("the stream is sealed")
