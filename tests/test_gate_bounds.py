"""What a guest with a valid certificate can cost the gate and the others: some memory, and some of the log's room."""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcli.gate.gate import MOST_PASTS
from streamcli.gate.guest_connection import SILENT_AFTER, WINDOW
from streamcli.gate.token_bucket import Rate, TokenBucket
from streamcli.log.frames import Frame, pack, pack_writes
from streamcli.model.cursor import Cursor
from tests.conftest import Tell, eventually
from tests.fake_clock import fake_clock
from tests.gate_running import GateThread
from tests.memory_stream import MemoryStream
from tests.raw_guest import HEAD, RawGuest, as_event

LARGE = 60_000  # bytes
TEN_MEGABYTES = [number.to_bytes(2, "big") * (LARGE // 2) for number in range(170)]
FLOOD = 20_000  # events
SETTLED = 0.5  # seconds after which what was not to come would have come
A_BATCH = (1 << 20) + LARGE
NO_LIMIT = Rate(1e6, 1e6)


@pytest.fixture
def memory() -> MemoryStream:
    return MemoryStream()


@contextlib.contextmanager
def beside(work: threading.Thread) -> Iterator[None]:
    work.start()
    yield
    work.join(60)
    assert not work.is_alive()


def settled(gate: GateThread) -> int:
    """How much waits to be sent once that no longer changes."""
    last = -1
    while last != (last := gate.unsent()):
        time.sleep(SETTLED)
    return last


def test_a_flood_is_slowed_down_and_not_refused(tmp_path: Path, memory: MemoryStream, tell: Tell) -> None:
    rate = Rate(a_second=2500, burst=500)
    flood = [as_event("tim", number) for number in range(FLOOD)]
    gate = GateThread(tmp_path, memory)
    with gate.running(rate=rate):
        tim, mara = (RawGuest(gate.port, gate.guest(name).folder) for name in ("tim", "mara"))
        with tim, mara:
            mara.starts(HEAD, write=True).may_write()
            tim.starts(write=True).may_write()
            took: list[float] = []
            begun = time.monotonic()
            with beside(threading.Thread(target=tim.says, args=(pack_writes("lobby", flood),))):
                while len(memory.events()) < FLOOD // 2:
                    seen, passed = len(memory.events()), time.monotonic() - begun
                    assert seen <= rate.burst + rate.a_second * passed + len(took) + 1
                    sent = time.monotonic()
                    mara.writes(wanted := as_event("mara", len(took)))
                    while wanted not in mara.events(1):
                        pass
                    took.append(time.monotonic() - sent)
            assert tim.answers(FLOOD) == [""] * FLOOD
    datas = [event.data for event in memory.events()]
    assert [data for data in datas if b'"tim"' in data[:20]] == flood, "in order, each once"
    assert len(datas) == FLOOD + len(took)
    tell(f"beside a flood: p50 {statistics.median(took) * 1000:.1f} ms, max {max(took) * 1000:.0f} ms, n = {len(took)}")


def test_the_rate_is_a_guests_however_many_connections_they_have(tmp_path: Path, memory: MemoryStream) -> None:
    gate = GateThread(tmp_path, memory)
    with gate.running(rate=Rate(a_second=50, burst=10)):
        folder = gate.guest("tim").folder
        with contextlib.ExitStack() as stack:
            several = [stack.enter_context(RawGuest(gate.port, folder)).starts(write=True) for _ in range(4)]
            for one in several:
                one.may_write()
            begun = time.monotonic()
            for number, one in enumerate(several):
                one.writes(*(as_event("tim", 100 * number + at) for at in range(20)))
            for one in several:
                assert one.answers(20) == [""] * 20
            assert time.monotonic() - begun > (80 - 10 - 4) / 50 - 0.1


@pytest.mark.parametrize(("size", "tokens"), [(0, 1), (1024, 1), (1025, 2), (64 * 1024, 64)])
def test_a_long_event_takes_as_many_tokens_as_it_has_kib(size: int, tokens: int) -> None:
    clock = fake_clock()
    bucket = TokenBucket(Rate(a_second=10, burst=64), clock.monotonic)
    for _ in range(64 // tokens):
        assert bucket.take(size) == 0
    assert bucket.take(size) == pytest.approx(tokens / 10)
    clock.sleep(tokens / 10)
    assert bucket.take(size) == pytest.approx(tokens / 10)
    clock.sleep(1000)
    assert [bucket.take(size) for _ in range(64 // tokens)] == [0] * (64 // tokens), "it is not filled beyond its brim"
    assert bucket.take(size) > 0


@pytest.mark.parametrize("begin", [Cursor(), None], ids=["ring", "past"])
def test_who_reads_and_takes_nothing_gets_no_more_than_the_window(
    tmp_path: Path, memory: MemoryStream, begin: Cursor | None
) -> None:
    memory.write(*TEN_MEGABYTES)
    gate = GateThread(tmp_path, memory)
    with gate.running(begin=begin):
        with RawGuest(gate.port, gate.guest("tim").folder) as tim:
            tim.takes = False
            tim.starts(HEAD).until(Frame.OPENED)
            sizes: list[int] = []
            idle = 0
            while idle < 2:  # two heartbeats without anything between
                frame = tim.until(Frame.EVENTS, Frame.IDLE)
                idle = idle + 1 if frame.kind is Frame.IDLE else 0
                sizes += [] if idle else [len(frame.payload)]
            assert WINDOW - A_BATCH <= sum(sizes) <= WINDOW + A_BATCH
            tim.says(pack(Frame.TAKEN) * len(sizes))
            assert tim.until(Frame.EVENTS), "who takes gets the rest"
        with RawGuest(gate.port, gate.guest("mara").folder) as mara:
            assert [data for _, data in mara.starts(HEAD).past()] == TEN_MEGABYTES


@pytest.mark.parametrize("begin", [Cursor(), None], ids=["ring", "past"])
def test_for_who_never_reads_no_more_is_kept(tmp_path: Path, memory: MemoryStream, begin: Cursor | None) -> None:
    memory.write(*TEN_MEGABYTES)
    gate = GateThread(tmp_path, memory)
    gate.send_little_ahead()
    with gate.running(begin=begin):
        mara = RawGuest(gate.port, gate.guest("mara").folder)
        with mara, RawGuest(gate.port, gate.guest("tim").folder, limit=4096) as tim:
            mara.starts(HEAD, write=True)
            assert [data for _, data in mara.past()] == TEN_MEGABYTES
            mara.may_write()
            tim.starts(HEAD)
            eventually(lambda: gate.unsent() > WINDOW // 2)
            assert settled(gate) <= WINDOW + A_BATCH
            mara.writes(as_event("mara"))
            assert mara.events(1) == [as_event("mara")], "she waits for nobody"
            assert tim.events(len(TEN_MEGABYTES) + 1) == [*TEN_MEGABYTES, as_event("mara")]


def test_who_reads_slowly_stays_and_who_reads_nothing_goes(tmp_path: Path, memory: MemoryStream) -> None:
    """Neither is up to date, so that a heartbeat would come late; a frame that was taken is a sign as well."""
    memory.write(*TEN_MEGABYTES)
    clock = fake_clock()
    gate = GateThread(tmp_path, memory)
    with gate.running(begin=Cursor(), clock=clock):
        folder = gate.guest("tim").folder
        slow, never = (RawGuest(gate.port, folder, limit=4096) for _ in range(2))
        with slow, never:
            for one in (slow, never):
                one.starts(HEAD)
            for _ in range(4):
                slow.until(Frame.EVENTS)
                clock.sleep(SILENT_AFTER / 3)
                time.sleep(1.1)  # the gate looks every second
            eventually(lambda: len(gate.here()) == 1)
            while never.piece():
                pass
            assert slow.until(Frame.EVENTS)


def test_small_frames_are_not_held_back(tmp_path: Path, memory: MemoryStream) -> None:
    """The system would wait 40 ms for an answer to the frame before."""
    gate = GateThread(tmp_path, memory)
    with gate.running(), RawGuest(gate.port, gate.guest("tim").folder) as tim:
        tim.starts(HEAD).until(Frame.OPENED)
        (connection,) = gate.here()
        assert connection.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_who_reads_no_answers_is_not_read_either(tmp_path: Path, memory: MemoryStream) -> None:
    """Each refusal is longer than the event that it is for."""
    count = 100_000
    gate = GateThread(tmp_path, memory)
    gate.send_little_ahead()
    with gate.running(rate=NO_LIMIT), RawGuest(gate.port, gate.guest("tim").folder, limit=4096) as tim:
        tim.starts(write=True).may_write()
        with beside(threading.Thread(target=tim.says, args=(pack_writes("k", [b"{}"] * count),))):
            eventually(lambda: gate.unsent() > WINDOW // 2)
            assert settled(gate) <= WINDOW + (1 << 18)
            answers = tim.answers(count)
        assert answers == ["it is not from tim"] * count, "it was slowed down, and nothing was lost"


def test_few_connections_of_a_guest_read_the_log_themselves(tmp_path: Path, memory: MemoryStream) -> None:
    memory.write(*TEN_MEGABYTES)
    gate = GateThread(tmp_path, memory)
    with gate.running():
        folder = gate.guest("tim").folder
        with contextlib.ExitStack() as stack:
            several = [stack.enter_context(RawGuest(gate.port, folder)) for _ in range(MOST_PASTS + 2)]
            for one in several:
                one.takes = False
                one.starts(HEAD)
            eventually(lambda: len(gate.logs) == 1 + MOST_PASTS)
            with RawGuest(gate.port, gate.guest("mara").folder) as mara:
                assert [data for _, data in mara.starts(HEAD).past()] == TEN_MEGABYTES, "she has her own"
            assert len(gate.logs) == 1 + MOST_PASTS + 1
            for one in several[:MOST_PASTS]:
                one.socket.close()
            for one in several[MOST_PASTS:]:
                assert one.until(Frame.EVENTS), "the others of tim's have their turn"


def test_what_waits_for_the_log_is_bounded(tmp_path: Path, memory: MemoryStream) -> None:
    """While nothing is acknowledged, the gate takes so much from guests and no more, and then all of it."""
    events = [as_event("tim", number, message="x" * LARGE) for number in range(200)]
    gate = GateThread(tmp_path, memory)
    with gate.running(rate=NO_LIMIT), RawGuest(gate.port, gate.guest("tim").folder) as tim:
        tim.starts(write=True).may_write()
        appending = gate.memory_log.appending
        assert appending
        gate.call(appending.hold_acknowledgements)
        with beside(threading.Thread(target=tim.writes, args=events)):
            eventually(lambda: len(memory.events()) * LARGE >= 4 << 20)
            time.sleep(SETTLED)
            assert len(memory.events()) * LARGE <= (4 << 20) + 2 * LARGE
            gate.call(appending.release_acknowledgements)
            assert tim.answers(len(events)) == [""] * len(events)
    assert [event.data for event in memory.events()] == events
