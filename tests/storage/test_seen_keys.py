"""Each message exactly once and in the log's order, whatever comes again, where no history says so."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.model.dedup_key import DedupKeys, dedup_key
from streamcli.model.message import Message, Unreadable, decode
from streamcli.storage import seen_keys
from streamcli.storage.seen_keys import Passing, SeenKeys

QUICK = settings(max_examples=100, deadline=None)
Content = Message | Unreadable


def written(texts: list[tuple[str, str]]) -> list[Content]:
    """The events of a segment: pairs of sender and id; no id, no field; sender "" is an event that can't be read."""
    log: list[Content] = []
    at = 0
    for number, (sender, id) in enumerate(texts):
        fields = f'"id": "{id}", "kind": "chat", ' if id else ""
        data = f'{{{fields}"sender": "{sender}", "message": "{number}"}}'.encode() if sender else b"?"
        log.append(decode(data, at))
        at += 8 + len(data)
    return log


def once(log: list[Content]) -> list[Content]:
    """What is to be seen of a log: each sender's id once, and each event that can't be read."""
    seen: dict[tuple[str, object], Content] = {}
    for content in log:
        name = ("", content.offset) if isinstance(content, Unreadable) else (content.sender, content.id)
        seen.setdefault(name, content)
    return list(seen.values())


LOGS = st.lists(
    st.tuples(st.sampled_from(["", "tim", "alex", "t", "im"]), st.sampled_from(["", "a", "b", "ma", "1 a"])),
    max_size=25,
).map(written)


def new_of(passing: Passing, contents: list[Content], keys: list[bytes]) -> list[Content]:
    return [content for content, new in zip(contents, passing.store("", (), keys, None), strict=True) if new]


@QUICK
@given(log=LOGS, data=st.data())
def test_on_one_segment_each_event_comes_once_and_in_order(log: list[Content], data: st.DataObject) -> None:
    shown, taken = list[Content](), 0
    connections = data.draw(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=6))
    with closing(Passing()) as passing:
        for upto, again in [*connections, (len(log), 0)]:
            passing.opened(None, another=False)
            upto = max(taken, min(upto, len(log)))
            some = log[max(0, taken - again) : upto]  # what was shown may come again
            shown += new_of(passing, some, list(map(dedup_key, some)))
            taken = upto
    assert shown == once(log)


@QUICK
@given(logs=st.lists(LOGS, min_size=2, max_size=3), data=st.data())
def test_on_several_segments_each_event_comes_once_whatever_their_order(
    logs: list[list[Content]], data: st.DataObject
) -> None:
    everything = [content for log in logs for content in log]
    shown = list[Content]()
    with closing(Passing()) as passing:  # Hypothesis may end an example at any draw
        for _ in range(data.draw(st.integers(1, 3))):
            passing.opened(None, another=False)
            order = data.draw(st.permutations(everything))
            shown += new_of(passing, order, DedupKeys().of(order, None))
    messages = [one for one in shown if not isinstance(one, Unreadable)]
    # An id that was made of offset and bytes says nothing when two segments hold the same at the same place.
    named = {(m.sender, m.id) for m in everything if not isinstance(m, Unreadable) and not m.id.startswith("o")}
    nameless = [m for m in everything if not isinstance(m, Unreadable) and m.id.startswith("o")]
    assert {(m.sender, m.id) for m in messages if not m.id.startswith("o")} == named
    assert len(messages) == len(named) + len(nameless)
    assert len(shown) - len(messages) == sum(isinstance(content, Unreadable) for content in everything)


def test_two_people_may_use_the_same_id() -> None:
    log = written([("tim", "a"), ("alex", "a"), ("tim", "a"), ("im", "at")])
    seen = SeenKeys()
    assert seen.add(list(map(dedup_key, log))) == [True, True, False, True]
    seen.clear()


def test_another_log_begins_with_nothing_seen() -> None:
    passing = Passing()
    assert passing.store("", (), [bytes(16)], None) == [True]
    passing.opened(None, another=False)
    assert passing.store("", (), [bytes(16)], None) == [False]
    passing.opened(None, another=True)
    assert passing.store("", (), [bytes(16)], None) == [True]
    passing.close()


def test_where_nothing_can_be_remembered_everything_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(seen_keys, "_opened", full)
    assert SeenKeys().add([bytes(16)] * 2) == [True, True]
