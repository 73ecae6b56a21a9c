"""Events from elsewhere: what they mean, and that no bytes do any harm."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timezone
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamcli.model.message import (
    CUT_CHARACTERS,
    MAX_EVENT_BYTES,
    Chat,
    Greet,
    Joke,
    Message,
    Unknown,
    Unreadable,
    decode,
    encode,
)
from streamcli.model.original_jokes import JOKES
from streamcli.model.unknown_fields import NONE, UnknownFields

QUICK = settings(max_examples=150, deadline=None)
FOUR = datetime(2026, 11, 22, 16, 0, 0, 123456, timezone.utc)

# What others may put into a field: every type JSON has, and values near the border of what we take.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=70)
    | st.sampled_from(
        ["", " ", "\x1c", "chat", "greet", "me", "poll", "joke", "9999-12-31T23:59:59Z", "1970-01-01", "12"]
    )
    | st.sampled_from(["2026-11-22T16:00:00", "2026-11-22T16:00:00+23:59", "2026-11-22T16:00:00.1Z", 10**25, -1, 1e300])
    | st.sampled_from(["2199-12-31T23:59:59-01:00", "1e300", "12:00"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
OBJECTS = st.fixed_dictionaries(
    {"sender": VALUES | st.just("tim"), "message": VALUES | st.text(max_size=9)},
    optional=dict.fromkeys(("id", "kind", "room", "sent_at", "typed_at", "v", "more"), VALUES),
)


def _read(**fields: object) -> Message:
    message = decode(json.dumps(fields).encode(), 7)
    assert not isinstance(message, Unreadable), message
    return message


def _from(sender: object = "tim", message: object = "hi", **fields: object) -> Message:
    return _read(sender=sender, message=message, **fields)


# What the original program and newer versions write


def test_an_event_of_the_original_program_is_a_chat_message_in_the_default_room() -> None:
    chat = _from()
    assert chat == Chat(sender="tim", message="hi", id=chat.id, room="lobby", sent_at=None, typed_at=None, v=1)


@pytest.mark.parametrize("text", ["greet", "GREET", " Greet\n"])
def test_the_originals_greet_is_a_greeting(text: str) -> None:
    greet = _from(message=text)
    assert greet == Greet(sender="tim", id=greet.id)
    assert greet.message == "greet"


@pytest.mark.parametrize("text", ["greet tim", "greetings", "a joke", ""])
def test_other_texts_of_the_original_are_just_text(text: str) -> None:
    assert isinstance(_from(message=text), Chat)


def test_the_originals_joke_is_picked_by_the_offset_so_that_all_read_the_same() -> None:
    data = b'{"sender": "tim", "message": "Joke"}'
    told = [decode(data, offset) for offset in range(len(JOKES) + 2)]
    assert [joke.message for joke in told if isinstance(joke, Joke)] == [*JOKES, *JOKES[:2]]


def test_it_is_the_same_joke_with_every_version_of_streamcli_and_without_pyjokes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # With another list, an event that was read long ago would say something else: docs/decisions/0015.
    monkeypatch.setitem(sys.modules, "pyjokes", None)
    told = [decode(b'{"sender": "tim", "message": "joke"}', offset) for offset in range(16)]
    texts = [joke.message for joke in told if isinstance(joke, Joke)]
    assert len(set(texts)) == len(JOKES) == 16
    assert blake2b("\0".join(texts).encode(), digest_size=16).hexdigest() == "caeeb197e87a53b9095410b83800b344"


def test_a_chat_message_that_says_greet_is_no_greeting() -> None:
    assert isinstance(_from(message="greet", kind="chat"), Chat)


def test_a_message_of_a_newer_kind_is_kept_with_its_kind_and_text() -> None:
    poll = _from(message="tea?", kind="poll", id="a", v=3, options=["yes", "no"])
    unknown = UnknownFields(b'{"options": ["yes", "no"]}')
    assert poll == Unknown(kind="poll", sender="tim", message="tea?", id="a", v=3, unknown=unknown)


def test_an_event_without_an_id_gets_one_from_its_place_and_its_bytes() -> None:
    data, other = b'{"sender": "t", "message": "a"}', b'{"sender": "t", "message": "b"}'
    read = [decode(data, 7), decode(data, 7), decode(data, 8), decode(other, 7)]
    first, again, later, different = (message.id for message in read if not isinstance(message, Unreadable))
    assert first == again and first.startswith("o7-") and len(first) == 19
    assert len({first, later, different}) == 3


# What comes from anywhere else


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" ", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"sender": "t", "message": "a"} x', "not JSON"),
        (b'{"sender": "t", "message": "a"', "not JSON"),
        (b'{"sender": "t", "message": "a\n"}', "not JSON"),
        (b'{"sender": "t", "message": "\xff"}', "not UTF-8"),
        (b"\x00\xff", "not UTF-8"),
        ('{"sender": "t", "message": "a"}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"sender": "t", "message": "a", "x": ' + b"[" * 500 + b"]" * 500 + b"}", "nested too deep"),
        (b'{"sender": "t", "message": "a", "x": ' + b'{"a":' * 50_000, "nested too deep"),
        (b"[]", "wrong types"),
        (b"null", "wrong types"),
        (b"NaN", "wrong types"),
        (b"9" * 100_000, "wrong types"),
        (b"{}", "fields missing"),
        (b'{"sender": "t"}', "fields missing"),
        (b'{"message": "a"}', "fields missing"),
        (b'{"sender": 1, "message": "a", "kind": "chat", "id": "a"}', "wrong types"),
        (b'{"sender": "t", "message": null}', "wrong types"),
        (b'{"sender": ["t"], "message": "a"}', "wrong types"),
    ],
)
def test_an_event_that_can_not_be_read_says_why(data: bytes, reason: str) -> None:
    assert decode(data, 7) == Unreadable(offset=7, size=len(data), reason=reason)  # type: ignore[arg-type]


@QUICK
@given(data=st.binary(max_size=60) | st.text(st.sampled_from('{}[]",:\\ue1 sendermssag'), max_size=60).map(str.encode))
def test_no_bytes_raise(data: bytes) -> None:
    read = decode(data, 3)
    if isinstance(read, Unreadable):
        assert (read.offset, read.size) == (3, len(data))


@QUICK
@given(event=OBJECTS, offset=st.integers(0, 2**63))
@example(event={"sender": "\x1c", "message": "", "kind": "chat", "id": "a"}, offset=0)
@example(event={"sender": "t", "message": "", "kind": "chat", "id": "a", "sent_at": 1e300}, offset=0)
def test_an_event_with_a_sender_and_a_text_is_read_whatever_else_is_in_it(event: dict[str, Any], offset: int) -> None:
    read = decode(json.dumps(event).encode(), offset)
    readable = isinstance(event["sender"], str) and isinstance(event["message"], str)
    assert isinstance(read, Unreadable) is not readable
    if not isinstance(read, Unreadable):
        # Times are written in milliseconds, whatever others do.
        timeless = read.model_copy(update={"sent_at": None, "typed_at": None})
        assert decode(encode(timeless), 0) == timeless
        assert decode(encode(read), 0) == decode(encode(read), 1)


@QUICK
@given(event=OBJECTS)
def test_it_makes_no_difference_whether_an_event_takes_the_fast_way(event: dict[str, Any]) -> None:
    event |= {"kind": "chat", "id": "a"}
    # A byte order mark and nothing else keeps an event off the fast way.
    data = json.dumps(event).encode()
    fast, calm = decode(data, 0), decode(b"\xef\xbb\xbf" + data, 0)
    assert fast == calm or (isinstance(fast, Unreadable) and isinstance(calm, Unreadable))


@pytest.mark.parametrize("name", ["id", "room", "sent_at", "typed_at", "v", "kind"])
@pytest.mark.parametrize("value", [None, "", [], {}, False, ["x"], -1.5, 10**30])
def test_a_field_that_makes_no_sense_gets_its_default(name: str, value: object) -> None:
    read = _from(**{"id": "a", "kind": "chat"} | {name: value})
    assert isinstance(read, Chat)
    assert (read.room, read.sent_at, read.typed_at, read.v) == ("lobby", None, None, 1)
    assert read.id == "a" if name != "id" else read.id.startswith("o7-")


@pytest.mark.parametrize(
    "when", ["soon", "2026-11-22T16:00:00", "9999-12-31T23:59:59Z", "1999-12-31T23:59:59Z", "\ud800"]
)
def test_an_absurd_time_is_no_time(when: str) -> None:
    assert _from(sent_at=when, id="a", kind="chat").sent_at is None


def test_a_time_is_read_in_any_zone() -> None:
    assert _from(sent_at="2026-11-22T18:00:00.123456+02:00").sent_at == FOUR


@pytest.mark.parametrize("sender", ["", " ", "\t\n", "\u3000"])
@pytest.mark.parametrize("more", [{}, {"kind": "chat", "id": "a"}])
def test_nobody_is_shown_as_a_question_mark(sender: str, more: dict[str, str]) -> None:
    assert _from(sender=sender, **more).sender == "?"


def test_names_from_elsewhere_are_bounded() -> None:
    read = _from(sender="s" * 65, room="r" * 65, kind="k" * 65, id="i" * 129)
    assert isinstance(read, Unknown)
    assert (read.sender, read.room, read.kind) == ("s" * 63 + "…", "r" * 63 + "…", "k" * 63 + "…")
    assert read.id.startswith("o7-")


@pytest.mark.parametrize("more", ["", ', "kind": "chat", "id": "a\\ud800", "room": "r\\ud800"'])
def test_half_a_surrogate_pair_does_no_harm(more: str) -> None:
    read = decode(b'{"sender": "t\\udc80", "message": "a\\ud800 \\ud83d\\ude00"' + more.encode() + b"}", 0)
    assert isinstance(read, Chat)
    assert (read.sender, read.message) == ("t\ufffd", "a\ufffd 😀")
    assert decode(encode(read), 0) == read


@pytest.mark.parametrize("unread", [b"NaN", b"-Infinity", b"1e999", b"9" * 10_000, b"[" * 300 + b"]" * 300])
def test_what_we_do_not_read_does_not_disturb(unread: bytes) -> None:
    read = decode(b'{"sender": "t", "message": "a", "kind": "chat", "id": "a", "x": ' + unread + b"}", 0)
    assert isinstance(read, Chat)
    assert read.model_copy(update={"unknown": NONE}) == Chat(sender="t", message="a", id="a")


def test_of_two_fields_with_one_name_the_last_counts() -> None:
    for more in (b"", b', "kind": "chat", "id": "a"'):
        read = decode(b'{"sender": "t", "message": "a", "message": "b"' + more + b"}", 0)
        assert isinstance(read, Chat) and read.message == "b"


@pytest.mark.parametrize(("size", "shown"), [(MAX_EVENT_BYTES + 1, "64 KiB"), (2**20 + 2**19, "1.5 MiB")])
def test_an_event_that_is_too_long_is_cut_and_says_its_size(size: int, shown: str) -> None:
    frame = b'{"sender": "t", "message": "%s", "kind": "chat", "id": "a"}'
    data = frame % (b"x" * (size - len(frame) + 2))
    read = decode(data, 0)
    assert len(data) == size and isinstance(read, Chat)
    assert read.message == "x" * CUT_CHARACTERS + f" … ({shown} in all, cut)"


def test_hostile_events_are_read_quickly() -> None:
    events = [
        b"[" * 2**20,
        b'{"a":' * 2**18,
        b"9" * 2**20,
        b'{"sender": "t", "message": "a", "x": ' + b"9" * 2**20 + b"}",
        b'{"sender": "' + b"\\ud800" * 2**17 + b'", "message": "a"}',
        b'{"sender": "t", "message": "' + b" " * 2**20 + b'"}',
        b'{"sender": "t", "message": "a"' + b', "x": 1' * 2**17 + b"}",
        b'{"sender": "t", "message": "a", "x": [' + b'"\\ud800",' * 2**17 + b'""]}',
        b'{"sender": "t", "message": "a", "x": "' + b"\\\\" * 2**19 + b'"}',
    ]
    begin = time.perf_counter()
    for data in events:
        decode(data, 0)
    # A few ms each. The bound is loose for busy machines; what squares with the length takes minutes.
    assert time.perf_counter() - begin < 3
