"""A guest with a valid certificate who speaks the gate's protocol by hand: what is refused, and what is not."""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamcli.gate.event_check import MAX_DEPTH, MAX_EVENT_BYTES
from streamcli.gate.gate import MOST_CONNECTIONS
from streamcli.gate.guest_connection import SILENT_AFTER
from streamcli.gate.guest_frames import LONGEST_FRAME
from streamcli.log.frames import Frame, pack, pack_count, pack_json, pack_writes
from streamcli.model.cursor import Cursor
from streamcli.model.fingerprint import fingerprint
from tests.conftest import eventually
from tests.fake_clock import fake_clock
from tests.gate_running import GateThread
from tests.memory_stream import MemoryStream
from tests.raw_guest import HEAD, RawGuest, as_event, cursor_fields

PAST = [as_event("owner", number) for number in range(10)]


@pytest.fixture
def memory() -> MemoryStream:
    stream = MemoryStream()
    stream.write(*PAST)
    return stream


@pytest.fixture
def gate(tmp_path: Path, memory: MemoryStream) -> Iterator[GateThread]:
    gate = GateThread(tmp_path, memory)
    with gate.running():
        yield gate


@pytest.fixture
def call(gate: GateThread) -> Iterator[Callable[[str], RawGuest]]:
    """Connects a guest, with the same certificate whenever the name is the same."""
    with contextlib.ExitStack() as stack:
        folders: dict[str, Path] = {}

        def connect(name: str) -> RawGuest:
            folders[name] = folders.get(name) or gate.guest(name).folder
            return stack.enter_context(RawGuest(gate.port, folders[name]))

        yield connect


def written(memory: MemoryStream) -> list[bytes]:
    """What guests have written."""
    return [event.data for event in memory.events()][len(PAST) :]


def audited(gate: GateThread) -> list[dict[str, str]]:
    return [json.loads(line) for line in (gate.folder / "gate" / "audit.log").read_text().splitlines()]


def is_served(guest: RawGuest, number: int = 1000) -> None:
    """The connection lives, both ways: this event is appended."""
    guest.writes(as_event("mara", number))
    assert guest.answers(1) == [""]


# Frames.


def framed(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack(">IBH", 3 + len(payload), kind, 0) + payload


EVENT = as_event("tim", 1)
# What ends the connection, and beside it what is nearest to it and does not; the latter appends so many events.
FRAMES: dict[str, tuple[bytes, bytes, int]] = {
    "a frame that announces 2 GiB": (struct.pack(">IBH", 1 << 31, Frame.WRITE, 0), pack_writes("lobby", [EVENT]), 1),
    "a frame that is a byte too long": (
        framed(Frame.WRITE, bytes(LONGEST_FRAME - 2)),
        pack_writes(
            "x" * 64, [as_event("tim", 1, message="x" * (MAX_EVENT_BYTES - len(as_event("tim", 1, message=""))))]
        ),
        1,
    ),
    "a frame of no bytes": (struct.pack(">IBH", 0, Frame.WRITE, 0), b"", 0),
    "a frame of an unknown type": (framed(99), b"", 0),
    "a frame of type 0": (framed(0), b"", 0),
    "another START": (pack_json(Frame.START, version=1, read=None, write=True), b"", 0),
    "TAKEN for no batch": (pack(Frame.TAKEN), b"", 0),
    "a thousand TAKEN": (pack(Frame.TAKEN) * 1000, b"", 0),
    "a hundred heartbeats": (pack(Frame.IDLE) * 100, b"", 0),
    "WRITING twice": (pack_count(Frame.WRITING, 1), b"", 0),
    "an event without a routing key": (framed(Frame.WRITE), pack_writes("k", [EVENT]), 1),
    "half a routing key's length": (framed(Frame.WRITE, b"\0"), pack_writes("k", [EVENT]), 1),
    "a routing key that is not UTF-8": (
        framed(Frame.WRITE, b"\0\2\xff\xff" + EVENT),
        framed(Frame.WRITE, b"\0\2\xc3\xbc" + EVENT),
        1,
    ),
    **{
        f"{kind.name}, which is the gate's to say": (framed(kind, EVENT), b"", 0)
        for kind in Frame
        if kind not in (Frame.START, Frame.TAKEN, Frame.IDLE, Frame.WRITE, Frame.WRITING)
    },
}


@pytest.mark.parametrize("what", FRAMES)
def test_who_does_not_speak_the_protocol_is_let_go_and_nobody_else(
    gate: GateThread, memory: MemoryStream, call: Callable[[str], RawGuest], what: str
) -> None:
    bad, good, count = FRAMES[what]
    tim, mara = call("tim").starts(write=True), call("mara").starts(write=True)
    tim.may_write()
    mara.may_write()
    tim.says(good)
    assert tim.answers(count) == [""] * count
    tim.writes(as_event("tim", 2))
    assert tim.answers(1) == [""], "what is nearest to it is served"
    tim.says(bad)
    assert tim.rest() == []
    tim.writes(as_event("tim", 3))
    is_served(mara)
    assert written(memory)[count:] == [as_event("tim", 2), as_event("mara", 1000)]
    eventually(lambda: audited(gate)[-1]["what"] == "went")
    assert [(line["what"], line["name"]) for line in audited(gate)][-2:] == [("refused", "tim"), ("went", "tim")]
    call("tim").starts(HEAD).past()


STARTS: dict[str, bytes] = {
    "another version": pack_json(Frame.START, version=2, read=None, write=True),
    "a version in words": pack_json(Frame.START, version="1", read=None, write=True),
    "no version": pack_json(Frame.START, read=None, write=True),
    "nothing to do": pack_json(Frame.START, version=1),
    "an answer in words": pack_json(Frame.START, version=1, read=None, write="yes"),
    "no JSON": framed(Frame.START, b"{"),
    "nothing": framed(Frame.START),
    "a list": framed(Frame.START, b"[1]"),
    "half a character": framed(Frame.START, b'{"version": 1, "read": "\xff"}'),
    "JSON of a thousand levels": framed(Frame.START, b"[" * 60_000),
    "another frame": pack_writes("lobby", [EVENT]),
}
ODD_CURSORS: dict[str, Any] = {
    "a number": 1,
    "a list": [],
    "an empty one": {},
    "without the last event": {"log": "log-1", "offsets": {}},
    "infinite": {"log": "log-1", "offsets": {"log-1#0": float("inf")}, "last": None},
    "no number": {"log": "log-1", "offsets": {"log-1#0": float("nan")}, "last": None},
    "in words": {"log": "log-1", "offsets": {"log-1#0": "10"}, "last": None},
    "negative": {"log": "log-1", "offsets": {"log-1#0": -1}, "last": None},
    "half": {"log": "log-1", "offsets": {"log-1#0": 0.5}, "last": None},
    "true": {"log": "log-1", "offsets": {"log-1#0": True}, "last": None},
    "beyond all offsets": {"log": "log-1", "offsets": {"log-1#0": 1 << 63}, "last": None},
    "of 4,000 digits": {"log": "log-1", "offsets": {"log-1#0": 10**4000}, "last": None},
    "a log that is a number": {"log": 1, "offsets": {}, "last": None},
    "a list of offsets": {"log": "log-1", "offsets": [1], "last": None},
    "half a last event": {"log": "log-1", "offsets": {}, "last": ["log-1#0", 1]},
    "a last event in words": {"log": "log-1", "offsets": {}, "last": "log-1#0"},
    "a last event whose fingerprint is none": {"log": "log-1", "offsets": {}, "last": ["log-1#0", 1, "xy"]},
    "a last event at no offset": {"log": "log-1", "offsets": {}, "last": ["log-1#0", None, "00"]},
    "a last event in no segment": {"log": "log-1", "offsets": {}, "last": [7, 1, "00"]},
}
STARTS |= {
    f"a cursor: {what}": pack_json(Frame.START, version=1, read=cursor, write=True)
    for what, cursor in ODD_CURSORS.items()
}


@pytest.mark.parametrize("what", STARTS)
def test_who_does_not_start_as_agreed_is_let_go(gate: GateThread, call: Callable[[str], RawGuest], what: str) -> None:
    tim = call("tim")
    tim.says(STARTS[what])
    assert tim.rest() == []
    eventually(lambda: audited(gate)[-1]["what"] == "went")
    assert audited(gate)[-2]["what"] == "refused"
    assert audited(gate)[-2]["why"] in ("no START of this version", "no cursor")
    assert [data for _, data in call("tim").starts(HEAD, write=True).past()] == PAST


@pytest.mark.slow
def test_who_says_nothing_is_let_go(call: Callable[[str], RawGuest]) -> None:
    tim, mara = call("tim"), call("mara").starts(HEAD)
    while tim.piece():
        pass
    assert [data for _, data in mara.past()] == PAST


SOMEWHERE_ELSE: dict[str, Callable[[int, int], Cursor]] = {
    "of another log": lambda middle, tail: Cursor("log-2", {"log-2#0": middle}),
    "of another segment": lambda middle, tail: Cursor("log-1", {"log-1#7": middle}),
    "of a segment without a number": lambda middle, tail: Cursor("log-1", {"log-1": middle}),
    "of a segment whose number is too long": lambda middle, tail: Cursor("log-1", {"log-1#" + "9" * 5000: middle}),
    "of a segment with Arabic digits": lambda middle, tail: Cursor("log-1", {"log-1#٠": middle}),
    "beyond the tail": lambda middle, tail: Cursor("log-1", {"log-1#0": tail + 1}),
    "far beyond the tail": lambda middle, tail: Cursor("log-1", {"log-1#0": (1 << 63) - 1}),
    "with a false fingerprint": lambda middle, tail: Cursor("log-1", {"log-1#0": middle}, ("log-1#0", 0, bytes(16))),
}


@pytest.mark.parametrize("from_ring", [False, True], ids=["past", "ring"])
@pytest.mark.parametrize("what", SOMEWHERE_ELSE)
def test_a_cursor_of_another_place_begins_at_the_head(
    tmp_path: Path, memory: MemoryStream, what: str, from_ring: bool
) -> None:
    events = memory.events()
    middle, tail = events[4].end, events[-1].end
    last = ("log-1#0", events[4].offset, fingerprint(events[4].data))
    gate = GateThread(tmp_path, memory)
    with gate.running(begin=Cursor() if from_ring else None):
        folder = gate.guest("tim").folder
        with RawGuest(gate.port, folder) as tim:
            strange = SOMEWHERE_ELSE[what](middle, tail)
            assert [data for _, data in tim.starts(cursor_fields(strange)).past()] == PAST
        for cursor in (Cursor("log-1", {"log-1#0": middle}), Cursor("log-1", {"log-1#0": middle}, last)):
            with RawGuest(gate.port, folder) as tim:
                assert [data for _, data in tim.starts(cursor_fields(cursor)).past()] == PAST[5:]


# Writing.


def test_what_is_sent_before_writing_was_agreed_is_not_appended(
    memory: MemoryStream, call: Callable[[str], RawGuest]
) -> None:
    tim = call("tim").starts(write=True)
    tim.writes(as_event("tim", 1))
    life = tim.may_write()
    tim.writes(as_event("tim", 2))
    assert tim.answers(1) == [""]
    assert written(memory) == [as_event("tim", 2)]
    other = call("tim").starts(write=True)
    other.until(Frame.WRITABLE)
    other.says(pack_count(Frame.WRITING, life + 1))
    other.writes(as_event("tim", 3))
    tim.writes(as_event("tim", 4))
    assert tim.answers(1) == [""]
    assert written(memory)[1:] == [as_event("tim", 4)], "that was agreed for another connection of the gate's"


def test_who_came_to_read_can_not_write(
    gate: GateThread, memory: MemoryStream, call: Callable[[str], RawGuest]
) -> None:
    reader = call("tim").starts(HEAD)
    reader.past()
    reader.says(pack_count(Frame.WRITING, 1))
    assert reader.rest() == []
    reader = call("tim").starts(HEAD)
    reader.past()
    reader.writes(EVENT)
    assert reader.rest() == []
    assert written(memory) == []
    writer = call("tim").starts(HEAD, write=True)
    writer.may_write()
    writer.writes(EVENT)
    assert writer.answers(1) == [""]
    assert written(memory) == [EVENT]


def sized(size: int) -> bytes:
    return as_event("tim", 1, message="x" * (size - len(as_event("tim", 1, message=""))))


def nested(levels: int) -> bytes:
    return EVENT[:-1] + b', "more": ' + b"[" * (levels - 1) + b"1" + b"]" * (levels - 1) + b"}"


# What is refused and why, and beside it what is nearest to it and is not.
EVENTS: dict[str, tuple[bytes, str, bytes]] = {
    "of no bytes": (b"", "1 to 65,536 bytes", EVENT),
    "of 64 KiB and a byte": (sized(MAX_EVENT_BYTES + 1), "this one has 65,537", sized(MAX_EVENT_BYTES)),
    "from somebody else": (as_event("mara"), "it is not from tim", EVENT),
    "from nearly tim": (as_event("Tim"), "it is not from tim", EVENT),
    "from tim and a blank": (as_event("tim "), "it is not from tim", EVENT),
    "from nobody": (as_event(None), "it is not from tim", EVENT),
    "from a list": (as_event(["tim"]), "it is not from tim", EVENT),
    "from two": (EVENT[:-1] + b', "sender": "mara"}', "a field occurs twice", EVENT),
    "from two, of whom the last is tim": (b'{"sender": "mara", ' + EVENT[1:], "a field occurs twice", EVENT),
    "from tim twice": (EVENT[:-1] + b', "sender": "tim"}', "a field occurs twice", EVENT[:-1] + b', "Sender": "tim"}'),
    "from two, one written otherwise": (
        EVENT[:-1] + rb', "s\u0065nder": "mara"}',
        "a field occurs twice",
        EVENT.replace(b'"sender"', rb'"s\u0065nder"'),
    ),
    "with a field twice further down": (
        EVENT[:-1] + b', "more": {"a": 1, "a": 2}}',
        "a field occurs twice",
        EVENT[:-1] + b', "more": {"a": 1, "b": 2}}',
    ),
    "with half a character": (
        as_event("tim", message="\ud83d"),
        "half of a character",
        as_event("tim", message="\U0001f600"),
    ),
    "with half a character in a name": (
        EVENT[:-1] + rb', "\udc00": 1}',
        "half of a character",
        EVENT[:-1] + rb', "\ud83d\ude00": 1}',
    ),
    "that is not UTF-8": (EVENT.replace(b"hi", b"\xff"), "it is no JSON", EVENT.replace(b"hi", b"\xc3\xbc")),
    "in UTF-16": (EVENT.decode().encode("utf-16"), "it is no JSON", EVENT),
    "with a byte order mark": (b"\xef\xbb\xbf" + EVENT, "it is no JSON", EVENT),
    "with NaN": (EVENT[:-1] + b', "more": NaN}', "it is no JSON", EVENT[:-1] + b', "more": null}'),
    "with an infinity": (EVENT[:-1] + b', "more": [-Infinity]}', "it is no JSON", EVENT[:-1] + b', "more": [-1e999]}'),
    "with a number of 5,000 digits": (
        EVENT[:-1] + b', "more": ' + b"9" * 5000 + b"}",
        "it is no JSON",
        EVENT[:-1] + b', "more": ' + b"9" * 500 + b"}",
    ),
    "that is no JSON": (b"hello", "it is no JSON", EVENT),
    "that goes on": (EVENT + b"{}", "it is no JSON", EVENT + b" \n"),
    "that is a list": (b"[" + EVENT + b"]", "it is no JSON object", EVENT),
    "that is a text": (b'"tim"', "it is no JSON object", EVENT),
    "nested deep": (nested(MAX_DEPTH + 1), "levels deep", nested(MAX_DEPTH)),
    "nested for ever": (b"[" * 60_000, "levels deep", nested(2)),
    "whose quotes never end": (b'"' + rb"\"" * 32_000, "it is no JSON", as_event("tim", message='"' * 32_000)),
    "of a kind that the server has": (as_event("tim", kind="poll"), "of its kind", as_event("tim", kind="joke")),
    "of no kind": (as_event("tim", kind=None), "of its kind", as_event("tim", kind="me")),
    "of a list of kinds": (as_event("tim", kind=["chat"]), "of its kind", as_event("tim", kind="greet")),
    "without a text": (as_event("tim", message=None), "it has no text", as_event("tim", message="")),
    "whose text is a number": (as_event("tim", message=1), "it has no text", as_event("tim", message="1")),
    "without an id": (as_event("tim", id=None), "it has no id", EVENT),
    "with an empty id": (as_event("tim", id=""), "it has no id", as_event("tim", id="x")),
    "with a long id": (as_event("tim", id="x" * 129), "it has no id", as_event("tim", id="x" * 128)),
    "whose id is a number": (as_event("tim", id=7), "it has no id", as_event("tim", id="7")),
}


@pytest.mark.parametrize("what", EVENTS)
def test_an_event_that_is_not_as_it_should_be_is_refused_alone(
    memory: MemoryStream, call: Callable[[str], RawGuest], what: str
) -> None:
    bad, why, good = EVENTS[what]
    tim = call("tim").starts(write=True)
    tim.may_write()
    around = [as_event("tim", number) for number in range(10, 16)]
    tim.writes(*around[:3], bad, *around[3:], good)
    answers = tim.answers(8)
    assert [bool(answer) for answer in answers] == [False] * 3 + [True] + [False] * 4
    assert why in answers[3]
    assert written(memory) == [*around, good], "in order, each once"


@pytest.mark.parametrize(("key", "taken"), [("", False), ("k", True), ("ü" * 64, True), ("k" * 65, False)])
def test_a_room_has_a_name(call: Callable[[str], RawGuest], key: str, taken: bool) -> None:
    tim = call("tim").starts(write=True)
    tim.may_write()
    tim.writes(EVENT, key=key)
    assert tim.answers(1) == ["" if taken else "a room's name has 1 to 64 characters"]


def test_a_refusal_waits_for_what_was_sent_before(
    gate: GateThread, memory: MemoryStream, call: Callable[[str], RawGuest]
) -> None:
    """The guest counts: the n-th answer is for the n-th event."""
    tim = call("tim").starts(write=True)
    tim.may_write()
    appending = gate.memory_log.appending
    assert appending
    gate.call(appending.hold_acknowledgements)
    tim.writes(b"bad", as_event("tim", 1), as_event("tim", 2), b"bad", b"bad", as_event("tim", 3))
    eventually(lambda: len(written(memory)) == 3)
    assert [bool(answer) for answer in tim.answers(1)] == [True], "before it none waits"
    gate.call(lambda: appending.release_acknowledgements(1))
    assert tim.answers(1) == [""]
    gate.call(lambda: appending.release_acknowledgements(1))
    assert [bool(answer) for answer in tim.answers(3)] == [False, True, True]
    gate.call(appending.release_acknowledgements)
    assert tim.answers(1) == [""]


def test_acknowledgements_go_to_whose_events_they_are_for(
    gate: GateThread, memory: MemoryStream, call: Callable[[str], RawGuest]
) -> None:
    tim, mara = call("tim").starts(write=True), call("mara").starts(write=True)
    tim.may_write()
    mara.may_write()
    appending = gate.memory_log.appending
    assert appending
    gate.call(appending.hold_acknowledgements)
    for number in range(3):
        tim.writes(as_event("tim", number))
        mara.writes(as_event("mara", number), as_event("mara", number + 100))
    eventually(lambda: len(written(memory)) == 9)
    gate.call(appending.release_acknowledgements)
    assert tim.answers(3) == [""] * 3
    assert mara.answers(6) == [""] * 6
    mara.writes(b"bad")
    assert len(tim.answers(0)) == 0 and mara.answers(1) != [""]


def test_what_a_broken_connection_has_not_acknowledged_is_asked_for_once_more(
    gate: GateThread, memory: MemoryStream, call: Callable[[str], RawGuest]
) -> None:
    tim = call("tim").starts(write=True)
    first = tim.may_write()
    appending = gate.memory_log.appending
    assert appending
    tim.writes(as_event("tim", 1))
    assert tim.answers(1) == [""]
    gate.call(appending.break_off)
    assert tim.until(Frame.WRITABLE).fields()["life"] == first + 1
    tim.writes(as_event("tim", 2))  # before WRITING: it is sent for the connection that is gone
    tim.says(pack_count(Frame.WRITING, first + 1))
    tim.writes(as_event("tim", 2), as_event("tim", 3))
    assert tim.answers(2) == ["", ""]
    assert written(memory) == [as_event("tim", 1), as_event("tim", 2), as_event("tim", 3)]


# How often, and for how long.


def test_a_guest_is_there_sixteen_times_at_most(gate: GateThread, call: Callable[[str], RawGuest]) -> None:
    all_of_tim = [call("tim").starts(HEAD) for _ in range(MOST_CONNECTIONS)]
    for one in all_of_tim:
        one.past()
    one_more = call("tim")
    [refusal] = one_more.starts(HEAD).rest()
    assert refusal.fields() == {"kind": "denied", "text": "You are here 16 times already."}
    assert [data for _, data in call("mara").starts(HEAD).past()] == PAST, "the others have their own"
    all_of_tim[3].socket.close()
    eventually(lambda: [line["what"] for line in audited(gate)].count("went") == 1)
    assert [data for _, data in call("tim").starts(HEAD).past()] == PAST
    assert "tim is here too often" in [line.get("why") for line in audited(gate)]


@pytest.mark.slow
def test_who_answers_no_heartbeat_is_let_go(tmp_path: Path, memory: MemoryStream) -> None:
    clock = fake_clock()
    gate = GateThread(tmp_path, memory)
    with gate.running(clock=clock):
        silent, tim = (RawGuest(gate.port, gate.guest(name).folder) for name in ("silent", "tim"))
        with silent, tim:
            silent.starts(HEAD).past()
            tim.starts(HEAD).past()
            for _ in range(4):
                clock.sleep(SILENT_AFTER / 3)
                tim.until(Frame.IDLE)
                tim.until(Frame.IDLE)  # the answer to the one before has come: it was sent earlier
            while silent.piece():
                pass
            memory.write(EVENT)
            assert tim.events(1) == [EVENT]
