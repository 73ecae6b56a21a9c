"""Events as raw bytes: a stand-in that returns pieces of any size, and the real byte stream, by one contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.log.frames import Frame, Splitter, pack, unpack_events
from streamcli.log.hand_over import Parent
from streamcli.log.raw_events import NoEvents, cut
from streamcli.log.wheel import read_worker
from streamcli.log.wheel.event_bytes import EventBytes
from tests.fake_clock import fake_clock
from tests.raw import Raw

QUICK = settings(max_examples=150, deadline=None)


class Pieces:
    """The byte stream of a log, as the client library has it, which reads in pieces of the sizes it is given."""

    def __init__(self, data: bytes, head: int = 0, sizes: list[int] | None = None) -> None:
        self._data, self._head, self._sizes, self._at = data, head, sizes or [1 << 20], 0
        self.reads = 0

    def current_head_offset(self) -> int:
        return self._head

    def current_tail_offset(self) -> int:
        return len(self._data)

    def seek(self, offset: int, whence: int) -> None:
        assert whence == 0 and offset >= self._head
        self._at = offset

    def readinto(self, buffer: bytearray) -> int:
        size = self._sizes[self.reads % len(self._sizes)]
        piece = self._data[self._at : self._at + min(size, len(buffer))]
        self.reads += 1
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def framed(*events: bytes) -> bytes:
    return b"".join(bytes(4) + len(event).to_bytes(4, "big") + event for event in events)


def with_offsets(events: list[bytes]) -> list[tuple[int, bytes]]:
    placed, at = [], 0
    for event in events:
        placed.append((at, event))
        at += 8 + len(event)
    return placed


@QUICK
@given(st.lists(st.binary(max_size=30), max_size=12), st.lists(st.integers(1, 50), min_size=1, max_size=5), st.data())
def test_pieces_of_any_size_give_the_same_events(events: list[bytes], sizes: list[int], data: st.DataObject) -> None:
    placed = with_offsets(events)
    ends = [*(offset for offset, _ in placed), len(framed(*events))]
    start = data.draw(st.sampled_from(ends))
    end = data.draw(st.sampled_from([offset for offset in ends if offset >= start]))
    raw = EventBytes(Pieces(framed(*events), start, sizes))
    assert raw.head() == start and raw.tail() == ends[-1]
    assert list(raw.events(start, end)) == [event for event in placed if start <= event[0] < end]


def test_a_log_that_ends_too_early_is_said() -> None:
    with pytest.raises(EOFError):
        list(EventBytes(Pieces(framed(b"one"))).events(0, 30))


@pytest.mark.parametrize(
    "strange",
    [
        b"no events at all, just text",
        b"\0\0\0\0\xff\0\0\0 far too large",
        bytes(7),
        framed(b"cut")[:-1],
        b"\0\0\0\1\0\0\0\1x",
    ],
)
def test_bytes_that_are_no_events_are_said_and_not_waited_for(strange: bytes) -> None:
    log = Pieces(framed(b"one", b"") + strange, sizes=[5])
    read = []
    with pytest.raises(NoEvents, match="byte 19"):
        for event in EventBytes(log).events(0, log.current_tail_offset()):
            read.append(event)
    assert read == [(0, b"one"), (11, b"")]


def test_all_events_before_bytes_that_are_no_events_are_handed_over() -> None:
    sent: list[bytes] = []
    parent = Parent(sent.append, lambda: pack(Frame.TAKEN))
    with pytest.raises(NoEvents):
        parent.hand_over(cut(bytearray(framed(b"one", b"two") + b"no events"), 0))
    [received] = Splitter().feed(b"".join(sent))
    assert unpack_events(received.payload) == (0, with_offsets([b"one", b"two"]))


CONTRACT = [b"", b"one", "zwei ü 👩".encode(), b"", b"", b"x" * (1 << 20), b"\x00" * 20, b"last", b""]


@pytest.mark.parametrize("kind", ["stand-in", pytest.param("real", marks=[pytest.mark.real, pytest.mark.wheel])])
def test_the_contract(kind: str, request: pytest.FixtureRequest) -> None:
    make = _stand_in if kind == "stand-in" else _real(request)
    log, truncate = make(CONTRACT)
    raw = EventBytes(log)
    placed = with_offsets(CONTRACT)
    assert (raw.head(), raw.tail()) == (0, len(framed(*CONTRACT)))
    assert list(raw.events(0, raw.tail())) == placed
    assert list(raw.events(placed[3][0], placed[7][0])) == placed[3:7]
    assert list(raw.events(raw.tail(), raw.tail())) == []
    truncate(placed[4][0])
    assert raw.head() == placed[4][0]
    assert list(raw.events(raw.head(), raw.tail())) == placed[4:]


def _stand_in(events: list[bytes]) -> tuple[Any, Callable[[int], None]]:
    log = Pieces(framed(*events), sizes=[7, 300_000, 1])
    return log, lambda offset: setattr(log, "_head", offset)


def _real(request: pytest.FixtureRequest) -> Callable[[list[bytes]], tuple[Any, Callable[[int], None]]]:
    raw: Raw = request.getfixturevalue("raw")

    def make(events: list[bytes]) -> tuple[Any, Callable[[int], None]]:
        raw.write(*events)
        return RawBytes(raw), raw.truncate

    return make


class RawBytes:
    """The real byte stream, in the raw client's process: none of the client library lives in this one."""

    def __init__(self, raw: Raw) -> None:
        self._raw, self._at = raw, 0

    def current_head_offset(self) -> int:
        return self._raw.bounds()[0]

    def current_tail_offset(self) -> int:
        return self._raw.bounds()[1]

    def seek(self, offset: int, whence: int) -> None:
        assert whence == 0
        self._at = offset

    def readinto(self, buffer: bytearray) -> int:
        piece = self._raw.bytes_at(self._at, len(buffer))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class Event(NamedTuple):
    """An event as the client library's group reader has it."""

    at: int
    text: bytes = b"x"

    def offset(self) -> int:
        return self.at

    def data(self) -> bytes:
        return self.text


class Slices:
    """A group reader that brings these slices and nothing after them; released are those it got back."""

    def __init__(self, *slices: list[Event]) -> None:
        self._left, self.released = list(slices), list[list[Event]]()

    async def get_segment_slice_async(self) -> list[Event]:
        return self._left.pop(0) if self._left else []

    def release_segment(self, segment_slice: list[Event]) -> None:
        self.released.append(segment_slice)


class Sink:
    """The prompt's process, which draws at once."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.frames: list[Frame] = []

    def send(self, frame: bytes) -> None:
        self.frames += [received.kind for received in Splitter().feed(frame)]

    def hand_over(self, events: Iterable[tuple[int, bytes]]) -> None:
        self.offsets += [offset for offset, _ in events]


def test_what_was_read_as_bytes_is_left_out_and_an_empty_event_ends_the_life() -> None:
    sink, reader = Sink(), Slices([Event(80), Event(90)], [], [Event(100)])
    asyncio.run(read_worker.OneSegment(reader, cast(Parent, sink), 90).follow())
    assert sink.offsets == [90, 100]
    assert (sink.frames[0], sink.frames[-1]) == (Frame.CAUGHT_UP, Frame.STUCK)
    assert reader.released[:3] == [[Event(80), Event(90)], [], [Event(100)]]


def test_an_empty_answer_that_took_its_time_is_a_heartbeat() -> None:
    sink, clock = Sink(), fake_clock()
    quick: list[list[Event]] = [[]] * (read_worker.STUCK_AFTER - 1)

    class Slow(Slices):
        async def get_segment_slice_async(self) -> list[Event]:
            if len(self._left) == len(quick) + 2:
                clock.sleep(1.0)
            return await super().get_segment_slice_async()

    reader = Slow(*quick, *quick, [Event(80)], [Event(0)])
    asyncio.run(read_worker.OneSegment(reader, cast(Parent, sink), 0, clock.monotonic).follow())
    assert sink.frames == [Frame.CAUGHT_UP, Frame.IDLE], "it took only the slow one for idleness, and none for stuck"
    assert sink.offsets == [80]


def test_offsets_that_begin_anew_end_the_life_without_taking_the_events() -> None:
    sink, reader = Sink(), Slices([Event(80)], [Event(0)], [Event(90)])
    asyncio.run(read_worker.OneSegment(reader, cast(Parent, sink), 0).follow())
    assert sink.offsets == [80]
    assert Frame.STUCK not in sink.frames
