"""Names: what is taken, what is refused in one sentence, and what a reader group is called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streamcli.errors import UsageError
from streamcli.model.names import (
    MAX_ENCODED_USER,
    MAX_GROUP,
    reader_group,
    user_of_group,
    valid_id,
    valid_room,
    valid_scope_or_stream,
)

QUICK = settings(max_examples=60, deadline=None)

SLOTS = st.text("abcxyz0189.", min_size=1, max_size=12)
STREAMS = st.text("abcXYZ019.-", min_size=1, max_size=20)


@st.composite
def ids(draw: st.DrawFn) -> str:
    # Many of the names differ only in what must be escaped, so that a clash would be found.
    name = draw(st.text(min_size=1, max_size=12) | st.text("ab2de.- _Éé🙂", min_size=1, max_size=6))
    try:
        return valid_id(name)
    except UsageError:
        assume(False)
        raise


@pytest.mark.parametrize(
    ("typed", "used"),
    [
        ("tim", "tim"),
        ("  tim\n", "tim"),
        ("Anne Marie", "Anne Marie"),
        ("zoe\u0308", "zo\u00eb"),
        ("snake_case", "snake_case"),
        ("-x.y", "-x.y"),
        ("👩🏽\u200d💻", "👩🏽\u200d💻"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("🫨", "🫨"),
        ("x" * 64, "x" * 64),
    ],
)
def test_an_ordinary_name_is_taken_trimmed_and_composed(typed: str, used: str) -> None:
    assert valid_id(typed) == used


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("x" * 65, "65 characters"),
        ("🙂" * 20, "too long for the server"),
        ("a\nb", "U+000A"),
        ("a\x1b[31m", "U+001B"),
        ("a\x9bb", "U+009B"),
        ("a\x7f", "U+007F"),
        ("a\u202eb", "U+202E"),
        ("\u2066a", "U+2066"),
        ("a\u061cb", "U+061C"),
        ("a\u2028b", "U+2028"),
        ("a\ud800", "U+D800"),
        ("a\udc9b", "U+DC9B"),
        ("a\ufdd0", "U+FDD0"),
        ("a\U0010ffff", "U+10FFFF"),
        ("t\u200dim", "U+200D"),
        ("é\u200d\u200dx", "U+200D"),
        ("tim\u200b", "U+200B"),
        ("tim\u3164", "U+3164"),
        ("tim\U000e0061", "U+E0061"),
        ("\u0301", "no visible character"),
    ],
)
def test_a_name_that_can_not_be_seen_or_sent_is_refused_in_one_sentence(typed: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)) as refusal:
        valid_id(typed)
    sentence = str(refusal.value)
    assert sentence.isprintable() and sentence.isascii() and sentence.endswith(".")


@pytest.mark.parametrize("room", ["lobby", "Büro", "a/b", "#dev", "🙂"])
def test_an_ordinary_room_is_taken(room: str) -> None:
    assert valid_room(f" {room} ") == room


@pytest.mark.parametrize("room", ["", " ", "two words", "a\tb", "a\u3000b", "a\u00a0b", "a\x00b", "x" * 65, "\u202e"])
def test_a_room_is_one_word_that_can_be_seen(room: str) -> None:
    with pytest.raises(UsageError, match="room"):
        valid_room(room)


@pytest.mark.parametrize("check", [valid_id, valid_room])
@QUICK
@given(name=st.text(max_size=70))
def test_a_name_is_refused_or_stays_as_it_is_when_checked_again(check: Callable[[str], str], name: str) -> None:
    try:
        used = check(name)
    except UsageError:
        return
    assert check(used) == used
    assert used == unicodedata.normalize("NFC", used.strip())


@pytest.mark.parametrize("name", ["scope", "my-Stream.2", "x" * 100])
def test_the_server_takes_letters_digits_dots_and_dashes(name: str) -> None:
    assert valid_scope_or_stream(name, "scope") == name


@pytest.mark.parametrize("name", ["", "a_b", "a b", "é", "a/b", "a\n", "x" * 101, "٣"])
def test_a_name_the_server_would_refuse_is_refused_here(name: str) -> None:
    with pytest.raises(UsageError, match=r"^The stream .*letters") as refusal:
        valid_scope_or_stream(name, "stream")
    assert len(str(refusal.value)) < 250


@pytest.mark.parametrize(
    ("user", "stream", "group"),
    [
        ("alice", "stream", "alice-k3f9a2.1"),
        ("alice", "work", "alice-k3f9a2.1-work"),
        ("tim-x", "stream", "tim.2dx-k3f9a2.1"),
        ("a.b c", "a-b", "a.2eb.20c-k3f9a2.1-a-b"),
        ("é", "stream", ".c3.a9-k3f9a2.1"),
    ],
)
def test_a_group_begins_with_the_user_and_names_slot_and_stream(user: str, stream: str, group: str) -> None:
    assert reader_group(user, "k3f9a2.1", stream) == group


@QUICK
@given(user=ids(), slot=SLOTS, stream=STREAMS)
def test_a_group_leads_back_to_its_user_and_fits_the_server(user: str, slot: str, stream: str) -> None:
    group = reader_group(user, slot, stream)
    assert user_of_group(group) == user
    assert re.fullmatch(r"[A-Za-z0-9.-]+", group) and len(group) <= MAX_GROUP
    assert len(group) <= MAX_ENCODED_USER + len(slot) + len(stream) + 2


@QUICK
@given(one=st.tuples(ids(), SLOTS, STREAMS), other=st.tuples(ids(), SLOTS, STREAMS))
def test_different_users_slots_and_streams_have_different_groups(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (reader_group(*one) == reader_group(*other)) == (one == other)


@QUICK
@given(user=ids(), other=ids(), slot=SLOTS)
def test_the_access_rule_of_one_user_covers_no_group_of_another(user: str, other: str, slot: str) -> None:
    rule = reader_group(user, slot).removesuffix(slot)
    assert reader_group(other, slot).startswith(rule) == (user == other)


def test_a_group_too_long_for_the_server_is_refused() -> None:
    with pytest.raises(UsageError, match="together are too long"):
        reader_group("é" * 30, "a", "s" * 100)


@pytest.mark.parametrize("slot", ["", "a-b", "a_b", "a\n"])
def test_a_slot_that_could_be_mistaken_for_a_stream_is_refused(slot: str) -> None:
    with pytest.raises(ValueError, match="not a slot"):
        reader_group("tim", slot)


@pytest.mark.parametrize("group", ["", "tim", "-x", "a.zz-x", "a.2-x", ".74im-x", "a.c3-x", ".FF-x", "a_b-x"])
def test_a_group_somebody_else_named_is_not_taken_for_ours(group: str) -> None:
    with pytest.raises(ValueError, match=r"not a reader group|utf-8"):
        user_of_group(group)
