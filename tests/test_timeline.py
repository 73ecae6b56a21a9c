"""The fold: each message exactly once and in the log's order, whatever the reader brings again."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.model.dedup_key import DedupKeys, dedup_key
from streamcli.model.message import Chat, Message, Unreadable, decode
from streamcli.views.timeline import KEPT_PEOPLE, SHOWN_AFTER_A_GAP, SHOWN_AT_START, DecodedEvent, LogOpened, Timeline

QUICK = settings(max_examples=200, deadline=None)
LOG = LogOpened("tag", 1, 0, 0, "tag#0")
SEVERAL = LogOpened("tag", 3, 0, 0)


def written(texts: list[tuple[str, str]]) -> list[DecodedEvent]:
    """A log of one segment: pairs of sender and id; no id, no field; sender "" is an event that can't be read."""
    log, at = [], 0
    for number, (sender, id) in enumerate(texts):
        fields = f'"id": "{id}", "kind": "chat", ' if id else ""
        data = f'{{{fields}"sender": "{sender}", "message": "{number}"}}'.encode() if sender else b"?"
        content = decode(data, at)
        log.append(DecodedEvent(at + 8 + len(data), content, dedup_key(content)))
        at += 8 + len(data)
    return log


def once(log: list[DecodedEvent]) -> list[Message]:
    """What is to be seen of a log: each sender's id once."""
    seen: dict[tuple[str, str], Message] = {}
    for _, content, _, _ in log:
        if not isinstance(content, Unreadable):
            seen.setdefault((content.sender, content.id), content)
    return list(seen.values())


LOGS = st.lists(
    st.tuples(st.sampled_from(["", "tim", "alex", "t", "im"]), st.sampled_from(["", "a", "b", "ma", "1 a"])),
    max_size=25,
).map(written)


@QUICK
@given(log=LOGS, data=st.data())
def test_on_one_segment_each_message_comes_once_and_in_order(log: list[DecodedEvent], data: st.DataObject) -> None:
    state, messages, unreadable = Timeline(), list[Message](), 0
    assert not state.open(LOG)
    taken = 0
    lives = data.draw(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25), st.booleans()), max_size=6))
    for upto, again, catches_up in [*lives, (len(log), 0, True)]:
        # What is drawn may come again, from any event on, in the same life and in the next.
        upto = max(taken, min(upto, len(log)))
        seen = [state.take(log[max(0, taken - again) : upto])]
        taken = upto
        if catches_up and not state.live:
            seen.append(state.caught_up())
        seen.append(state.take(log[max(0, taken - again) : taken]))
        seen.append(state.take(log[: max(0, taken - again)]))
        messages += [message for each in seen for message in each.messages]
        unreadable += sum(sum(each.unreadable.values()) for each in seen)
        assert state.position == (log[taken - 1].end if taken else 0)
        if not catches_up or data.draw(st.booleans()):
            assert not state.open(replace(LOG, start=state.position, tail=log[-1].end if log else 0))
    end = state.caught_up()
    messages += end.messages
    unreadable += sum(end.unreadable.values())
    assert messages == once(log)
    assert unreadable == len({e.key for e in log if isinstance(e.content, Unreadable)})


@pytest.mark.slow
@QUICK
@given(logs=st.lists(LOGS, min_size=2, max_size=3), data=st.data())
def test_on_several_segments_each_message_comes_once_whatever_their_order(
    logs: list[list[DecodedEvent]], data: st.DataObject
) -> None:
    everything = [event for log in logs for event in log]
    state, messages, unreadable = Timeline(), list[Message](), 0
    for _ in range(data.draw(st.integers(1, 3))):
        assert not state.open(SEVERAL)
        order = data.draw(st.permutations(everything))
        keys = DedupKeys(SEVERAL.segments).of(event.content for event in order)
        order = [event._replace(key=key) for event, key in zip(order, keys, strict=True)]
        cut = data.draw(st.integers(0, len(order)))
        for seen in (state.take(order[:cut]), state.caught_up(), state.take(order[cut:])):
            messages += seen.messages
            unreadable += sum(seen.unreadable.values())
    # An id that was made of offset and bytes says nothing when two segments hold the same at the same place.
    named = {(m.sender, m.id) for m in once(everything) if not m.id.startswith("o")}
    nameless = [e.content for e in everything if not isinstance(e.content, Unreadable) and e.content.id.startswith("o")]
    assert {(m.sender, m.id) for m in messages if not m.id.startswith("o")} == named
    assert len(messages) == len(named) + len(nameless)
    assert unreadable == sum(isinstance(event.content, Unreadable) for event in everything)


def test_two_people_may_use_the_same_id() -> None:
    state = Timeline()
    state.open(LOG)
    state.caught_up()
    log = written([("tim", "a"), ("alex", "a"), ("tim", "a"), ("im", "at")])
    assert [message.message for message in state.take(log).messages] == ["0", "1", "3"]


@pytest.mark.parametrize(
    ("then", "other"),
    [
        (LogOpened("tag", 1, 30, 99, "tag#0"), False),
        (LogOpened("tag", 1, 40, 99, "tag#0"), False),  # the head was cut off meanwhile
        (LogOpened("tag", 1, 0, 20, "tag#0"), True),
        (LogOpened("tag", 1, 30, 99, "tag#1"), True),  # made anew, and as long
        (LogOpened("new", 1, 30, 99, "new#0"), True),
        (LogOpened("tag", 3, 0, 0), False),  # was split
        (LogOpened("new", 3, 0, 0), True),
    ],
)
def test_another_log_is_told_from_the_same(then: LogOpened, other: bool) -> None:
    state = Timeline()
    state.open(LOG)
    content = Chat(sender="tim", message="m", id="a")
    state.take([DecodedEvent(30, content, dedup_key(content))])
    assert state.caught_up().skipped == 0
    assert state.open(then) is other
    again = DecodedEvent(then.start + 30, content, dedup_key(content))
    state.caught_up()
    assert bool(state.take([again]).messages) is other


def test_a_stream_of_several_segments_never_becomes_one_of_one() -> None:
    state = Timeline()
    state.open(SEVERAL)
    assert not state.open(replace(SEVERAL, segments=5))
    assert state.open(LOG)


def test_only_the_last_are_shown_at_the_start_and_the_rest_is_counted() -> None:
    log = written([("tim", f"{number:04}") for number in range(SHOWN_AT_START + 7)] + [("", "")])
    state = Timeline()
    state.open(replace(LOG, tail=log[-1].end))
    half = log[: len(log) // 2]
    assert state.take(half) == state.take([])
    assert state.progress == half[-1].end / log[-1].end
    state.take(log[len(half) :])
    assert state.progress == 1
    seen = state.caught_up()
    assert (len(seen.messages), seen.skipped, seen.unreadable.total()) == (SHOWN_AT_START, 7, 1)
    assert seen.messages == once(log)[7:]
    assert state.progress is None and state.caught_up().skipped == 0


def test_who_was_live_is_shown_all_that_came_while_the_reader_was_away() -> None:
    log = written([("bot", f"{number:x}") for number in range(3 * SHOWN_AT_START)])
    first, later = log[:10], log[10:]
    state = Timeline()
    state.open(LOG)
    state.take(first)
    assert len(state.caught_up().messages) == 10
    state.open(replace(LOG, start=first[-1].end, tail=later[-1].end))
    state.take(later)
    seen = state.caught_up()
    assert (len(seen.messages), seen.skipped) == (len(later), 0)


def test_of_very_much_that_came_meanwhile_the_end_is_shown_and_the_rest_counted() -> None:
    log = written([("bot", f"{number:x}") for number in range(SHOWN_AFTER_A_GAP + 20)])
    state = Timeline()
    state.open(LOG)
    state.take(log[:10])
    state.caught_up()
    state.open(replace(LOG, start=log[9].end, tail=log[-1].end))
    state.take(log[10:])
    seen = state.caught_up()
    assert (len(seen.messages), seen.skipped) == (SHOWN_AFTER_A_GAP, 10)


def test_people_are_known_in_the_order_of_who_spoke_last_and_not_without_end() -> None:
    state = Timeline()
    state.open(LOG)
    state.take(written([("tim", "a"), ("alex", "a"), ("tim", "b")]))
    assert list(state.people) == ["alex", "tim"]
    for number in range(0, 2 * KEPT_PEOPLE, 40):
        state.open(SEVERAL)
        state.take(written([(f"crowd {number + more}", "a") for more in range(40)]))
    assert len(state.people) == KEPT_PEOPLE


@pytest.mark.slow
def test_memory_grows_by_few_bytes_a_message() -> None:
    count, at = 20_000, 0
    state = Timeline()
    state.open(LOG)
    state.caught_up()
    tracemalloc.start()
    try:
        for number in range(count):
            at += 100
            content = Chat(sender=f"person {number % 50}", message="hello", id=f"{number:032x}")
            state.take([DecodedEvent(at, content, dedup_key(content))])
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown / count < 200
