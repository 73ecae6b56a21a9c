"""Bytes that nobody should send, in short; ``make fuzz`` sends a million."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.log.frames import Frame, pack, pack_json, pack_writes
from tests.raw_guest import as_event
from torture import gate_fuzz
from torture.gate_fuzz import LOG, SEGMENT, TARGETS, check_event, event_comes, gate_says, guest_says

QUICK = settings(max_examples=200, deadline=None)
COUNT = 6000
NAMES = st.sampled_from([SEGMENT, "log-1#1", "log-1", "#0", "log-1#9223372036854775807"]) | st.text(max_size=8)
NUMBERS = st.integers(-1, 1 << 64) | st.floats() | st.booleans() | st.none()
SCALARS = NUMBERS | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
CURSORS = JSON | st.fixed_dictionaries(
    {
        "log": st.sampled_from([LOG, "", "log-2"]) | SCALARS,
        "offsets": st.dictionaries(NAMES, st.integers(0, 2100) | NUMBERS, max_size=3) | JSON,
        "last": st.none() | st.tuples(NAMES, NUMBERS, st.sampled_from(["00", "xy"])) | JSON,
    }
)
FIELDS = ("places", "phase", "words", "kind", "text", "log", "life", "segments", "starts", "tails")


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("target", range(len(TARGETS)), ids=lambda number: TARGETS[number].__name__)
@QUICK
@given(data=st.binary(max_size=200))
def test_no_bytes_do_harm(target: int, data: bytes) -> None:
    assert TARGETS[target](data) in ("understood", "refused", "incomplete")


@pytest.mark.parametrize(("target", "data"), gate_fuzz.seeds())
def test_what_once_did_harm_does_none(target: int, data: bytes) -> None:
    TARGETS[target](data)


@QUICK
@given(cursor=CURSORS, version=st.just(1) | SCALARS, write=st.booleans() | JSON)
def test_no_start_does_harm(cursor: Any, version: Any, write: Any) -> None:
    guest_says(pack(Frame.START, dumped({"version": version, "read": cursor, "write": write})))


@QUICK
@given(
    sender=st.just("tim") | JSON, message=st.text(max_size=20) | JSON, more=st.dictionaries(st.text(max_size=9), JSON)
)
def test_an_event_that_is_let_through_is_what_it_seems(sender: Any, message: Any, more: dict[str, Any]) -> None:
    event_comes(dumped({**more, "sender": sender, "message": message, "id": "1", "kind": "chat"}))


@QUICK
@given(fields=st.dictionaries(st.sampled_from(FIELDS), JSON), kind=st.sampled_from(Frame))
def test_nothing_that_a_gate_says_does_harm(fields: dict[str, Any], kind: Frame) -> None:
    gate_says(pack_json(kind, **fields))


@pytest.mark.parametrize("seed", [1, 2])
def test_some_thousand_inputs_of_each_kind_do_no_harm(seed: int) -> None:
    found = gate_fuzz.run(seed, COUNT)
    assert sum(found.values()) == COUNT
    for target in TARGETS:
        assert found[f"{target.__name__} understood"] > 50, "not all of it is nonsense"
        assert found[f"{target.__name__} refused"] > 50


@pytest.mark.parametrize(
    ("target", "data"),
    [
        (guest_says, pack_json(Frame.START, version=1, read=None, write=True) + pack_writes("k", [as_event("tim")])),
        (event_comes, as_event("tim")),
        (gate_says, pack_json(Frame.STATUS, phase="connected", words="")),
    ],
)
def test_what_is_as_it_should_be_is_understood(target: Callable[[bytes], str], data: bytes) -> None:
    assert target(data) == "understood"
    assert check_event("k", as_event("mara")) == "it is not from tim"
