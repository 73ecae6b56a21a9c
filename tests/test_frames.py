"""Frames between the prompt's process and its workers."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.log.frames import (
    MAX_FRAME,
    Frame,
    Received,
    Splitter,
    pack,
    pack_count,
    pack_events,
    pack_json,
    pack_writes,
    read_frames,
    unpack_count,
    unpack_events,
    unpack_json,
    unpack_write,
)

QUICK = settings(max_examples=150, deadline=None)
FRAMES = st.lists(
    st.builds(Received, st.sampled_from(Frame), st.binary(max_size=40), st.integers(0, 2**16 - 1)), max_size=8
)


@QUICK
@given(frames=FRAMES, sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_however_the_bytes_are_split_the_frames_are_the_same(frames: list[Received], sizes: list[int]) -> None:
    data = io.BytesIO(b"".join(pack(*frame) for frame in frames))
    splitter, got, number = Splitter(), [], 0
    while piece := data.read(sizes[number % len(sizes)]):
        got += splitter.feed(piece)
        number += 1
    assert got == frames
    data.seek(0)
    assert list(read_frames(lambda size: data.read(min(size, sizes[0])))) == frames


@QUICK
@given(
    events=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=40)), max_size=8),
    segment=st.integers(0, 2**64 - 1),
)
def test_events_come_out_as_they_went_in(events: list[tuple[int, bytes]], segment: int) -> None:
    [(kind, payload, _)] = Splitter().feed(pack_events(events, segment))
    assert kind is Frame.EVENTS
    assert unpack_events(payload) == (segment, events)


@QUICK
@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), max_size=64),
    datas=st.lists(st.binary(max_size=40), max_size=4),
)
def test_what_is_to_be_written_comes_out_as_it_went_in(key: str, datas: list[bytes]) -> None:
    frames = Splitter().feed(pack_writes(key, datas))
    assert all(frame.kind is Frame.WRITE for frame in frames)
    assert [unpack_write(frame.payload) for frame in frames] == [(key, data) for data in datas]


@QUICK
@given(count=st.integers(0, 2**32 - 1), text=st.text())
def test_counts_and_objects_come_out_as_they_went_in(count: int, text: str) -> None:
    [(_, payload, _)] = Splitter().feed(pack_count(Frame.WRITTEN, count))
    assert unpack_count(payload) == count
    [(_, payload, _)] = Splitter().feed(pack_json(Frame.FAILED, text=text, count=count))
    assert unpack_json(payload) == {"text": text, "count": count}


@pytest.mark.parametrize(
    "strange",
    [bytes(4) + b"\x03\0\0", (MAX_FRAME + 1).to_bytes(4, "big") + b"\x03\0\0", b"\0\0\0\x03\xff\0\0", b"Hello, world"],
    ids=["no type", "too large", "unknown type", "text"],
)
def test_bytes_that_are_no_frames_are_refused_at_once(strange: bytes) -> None:
    splitter = Splitter()
    assert splitter.feed(pack(Frame.IDLE)) == [Received(Frame.IDLE, b"", 0)]
    with pytest.raises(ValueError):
        splitter.feed(strange)
