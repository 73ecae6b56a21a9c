"""The wire format: what is written, what is read back, and that no bytes from elsewhere do any harm."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from streamcli.model.message import (
    KINDS,
    MAX_EVENT_BYTES,
    Chat,
    Emote,
    Greet,
    Ids,
    Joke,
    Message,
    TooLong,
    Unknown,
    as_typed,
    decode,
    encode,
    hand_over,
    jokes,
    make,
    new_id,
    replace_surrogates,
)

QUICK = settings(max_examples=150, deadline=None)
FOUR = datetime(2026, 11, 22, 16, 0, 0, 123456, timezone.utc)

NAMES = st.text(st.characters(exclude_categories=("Cs", "Z", "Cc")), min_size=1, max_size=64)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TIMES = st.none() | st.datetimes(
    datetime(2000, 1, 2),
    datetime(2199, 12, 30),
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=-5))]),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "sender": NAMES,
    "message": TEXTS,
    "id": NAMES,
    "room": NAMES,
    "sent_at": TIMES,
    "typed_at": TIMES,
    "v": st.integers(1, 2**31 - 1),
}
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    *(st.builds(model, **FIELDS) for model in (Chat, Greet, Joke, Emote)),
    st.builds(Unknown, kind=NAMES.filter(lambda kind: kind not in KINDS), **FIELDS),
)


# What we write


def test_a_message_is_one_object_with_sender_and_message_first() -> None:
    chat = make("chat", "hé", sender="tim", id="a1", sent_at=FOUR)
    assert encode(chat).decode() == (
        '{"sender": "tim", "message": "hé", "id": "a1", "kind": "chat", "room": "lobby",'
        ' "v": 1, "sent_at": "2026-11-22T16:00:00.123Z"}'
    )


def test_typed_at_stands_beside_sent_at_and_both_are_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    emote = make("me", "waves", sender="t", id="a", room="dev", sent_at=FOUR.astimezone(east), typed_at=FOUR)
    assert list(json.loads(encode(emote)).items())[3:] == [
        ("kind", "me"),
        ("room", "dev"),
        ("typed_at", "2026-11-22T16:00:00.123Z"),
        ("v", 1),
        ("sent_at", "2026-11-22T16:00:00.123Z"),
    ]


@QUICK
@given(message=MESSAGES, sent_at=TIMES)
def test_a_hand_over_changes_the_time_of_sending_and_nothing_else(message: Message, sent_at: datetime | None) -> None:
    event = encode(message)
    assert hand_over(event, sent_at) == encode(message.model_copy(update={"sent_at": sent_at}))
    assert (
        as_typed(hand_over(event, sent_at)) == as_typed(event) == encode(message.model_copy(update={"sent_at": None}))
    )


@pytest.mark.parametrize("text", ['x", "sent_at": "2026"}', "x\\", "}"])
def test_a_text_that_looks_like_a_time_of_sending_is_none(text: str) -> None:
    event = encode(make("chat", text, sender="tim", id="a"))
    assert as_typed(event) == event
    for more in (b'"x": {"y": 1, "sent_at": "b"}', b'"sent_at": "b", "v": 1', b'"sent_at": "b", "x": "c"'):
        strange = b'{"sender": "t", "message": "a", %b}' % more
        assert as_typed(strange) == strange


@QUICK
@given(message=MESSAGES, offset=st.integers(0, 2**63))
def test_what_was_written_is_read_back(message: Message, offset: int) -> None:
    assert decode(encode(message), offset) == message


@QUICK
@given(message=MESSAGES)
def test_no_empty_field_is_written(message: Message) -> None:
    assert None not in json.loads(encode(message)).values()


def test_the_longest_event_is_written_and_one_byte_more_is_refused_with_its_size() -> None:
    frame = len(encode(make("chat", "", sender="tim", id="a")))
    fits = make("chat", "x" * (MAX_EVENT_BYTES - frame), sender="tim", id="a")
    assert len(encode(fits)) == MAX_EVENT_BYTES
    assert decode(encode(fits), 0) == fits
    with pytest.raises(TooLong, match="65537 bytes") as refusal:
        encode(make("chat", fits.message + "x", sender="tim", id="a"))
    assert refusal.value.size == MAX_EVENT_BYTES + 1


def test_text_a_terminal_could_not_decode_is_mended_before_it_is_sent() -> None:
    assert replace_surrogates("a\udc9bé\ud83d") == "a\ufffdé\ufffd"
    assert make("chat", "a\udc9b", sender="tim", id="a").message == "a\ufffd"


@pytest.mark.parametrize("field", [{"sender": ""}, {"id": ""}, {"room": " "}, {"room": "x" * 65}, {"sender": "\ud800"}])
def test_a_message_that_would_not_be_read_back_can_not_be_built(field: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Chat.model_validate({"sender": "tim", "message": "hi", "id": "a"} | field)


def test_a_kind_with_a_type_of_its_own_is_not_unknown() -> None:
    with pytest.raises(ValidationError):
        Unknown(kind="chat", sender="tim", message="hi", id="a")


# Ids and jokes


def _zeros(count: int) -> bytes:
    return bytes(count)


def test_an_id_is_the_time_and_then_what_is_random() -> None:
    assert new_id(0x019, lambda count: b"\xab" * count) == "000000000019" + "ab" * 10
    assert new_id(-5, _zeros) == "0" * 32
    assert new_id(2**60, _zeros) == "f" * 12 + "0" * 20


@QUICK
@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_ids_of_different_terminals_sort_by_time(one: int, other: int, random: bytes) -> None:
    ids = new_id(one, lambda _: random), new_id(other, lambda _: random)
    assert (ids[0] < ids[1]) == (one < other)


@QUICK
@given(times=st.lists(st.integers(-1, 3) | st.integers(), min_size=2), random=st.randoms(use_true_random=False))
def test_the_ids_of_one_terminal_only_grow_whatever_its_clock_does(times: list[int], random: Any) -> None:
    clock = iter(times)
    source = Ids(lambda: next(clock), lambda count: bytes(random.getrandbits(8) for _ in range(count)))
    ids = [source.next() for _ in times]
    assert sorted(set(ids)) == ids
    assert {len(id) for id in ids} == {32}


def test_there_are_jokes_and_each_can_be_sent() -> None:
    assert len(jokes()) > 100 and list(jokes()) == sorted(set(jokes()))
    assert all(encode(make("joke", joke, sender="tim", id="a")) for joke in jokes())


@pytest.mark.parametrize("now_ms", [-(10**15), -1, 0, 2**48, 10**18])
def test_a_clock_that_is_absurd_still_gives_growing_ids_of_the_same_form(now_ms: int) -> None:
    source = Ids(lambda: now_ms, lambda count: bytes(count))
    ids = [source.next() for _ in range(3)]
    assert ids == sorted(set(ids))
    assert all(len(id) == 32 for id in ids)
