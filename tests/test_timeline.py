"""The fold: what is new is shown in the log's order, all of it when live, and the end of it at the start."""

from __future__ import annotations

import tracemalloc

from streamcli.model.event import Arrived
from streamcli.model.message import Chat, Unreadable
from streamcli.views.timeline import KEPT_PEOPLE, SHOWN_AFTER_A_GAP, SHOWN_AT_START, Timeline


def said(texts: list[str], sender: str = "bot") -> list[Arrived]:
    return [Arrived(Chat(sender=sender, message=text, id=text)) for text in texts]


def numbered(count: int) -> list[Arrived]:
    return said([f"{number:x}" for number in range(count)])


def opened(another: bool = False) -> Timeline:
    timeline = Timeline()
    timeline.open(another)
    return timeline


def test_duplicates_and_what_nobody_can_read_are_not_shown() -> None:
    timeline = opened()
    timeline.caught_up()
    one, two, three = said(["one", "two", "three"])
    seen = timeline.take([one, two._replace(fresh=False), Arrived(Unreadable(0, 3, "not JSON")), three])
    assert [message.message for message in seen.messages] == ["one", "three"]
    assert seen.unreadable == {"not JSON": 1}
    assert timeline.take([Arrived(Unreadable(0, 3, "not JSON"), fresh=False)]).unreadable.total() == 0


def test_only_the_last_are_shown_at_the_start_and_the_rest_is_counted() -> None:
    log = [*numbered(SHOWN_AT_START + 7), Arrived(Unreadable(0, 3, "not JSON"))]
    timeline = opened()
    half = len(log) // 2
    assert timeline.take(log[:half]) == timeline.take([])
    timeline.take(log[half:])
    seen = timeline.caught_up()
    assert (len(seen.messages), seen.skipped, seen.unreadable.total()) == (SHOWN_AT_START, 7, 1)
    assert seen.messages == [event.content for event in log[7:-1]]
    assert timeline.live and timeline.caught_up().skipped == 0


def test_who_was_live_is_shown_all_that_came_while_the_reader_was_away() -> None:
    log = numbered(3 * SHOWN_AT_START)
    timeline = opened()
    timeline.take(log[:10])
    assert len(timeline.caught_up().messages) == 10
    timeline.open(another=False)
    assert not timeline.live
    timeline.take(log[10:])
    seen = timeline.caught_up()
    assert (len(seen.messages), seen.skipped) == (len(log) - 10, 0)


def test_of_very_much_that_came_meanwhile_the_end_is_shown_and_the_rest_counted() -> None:
    log = numbered(SHOWN_AFTER_A_GAP + 20)
    timeline = opened()
    timeline.take(log[:10])
    timeline.caught_up()
    timeline.open(another=False)
    timeline.take(log[10:])
    seen = timeline.caught_up()
    assert (len(seen.messages), seen.skipped) == (SHOWN_AFTER_A_GAP, 10)


def test_what_waits_of_one_log_is_not_shown_in_another() -> None:
    timeline = opened()
    timeline.take(numbered(5))
    timeline.open(another=True)
    timeline.take(said(["new"]))
    assert [message.message for message in timeline.caught_up().messages] == ["new"]


def test_people_are_known_in_the_order_of_who_spoke_last_and_not_without_end() -> None:
    timeline = opened()
    timeline.take([*said(["a"], "tim"), *said(["a"], "alex"), *said(["b"], "tim")])
    assert list(timeline.people) == ["alex", "tim"]
    for number in range(0, 2 * KEPT_PEOPLE, 40):
        timeline.take([event for more in range(40) for event in said(["a"], f"crowd {number + more}")])
    assert len(timeline.people) == KEPT_PEOPLE


def test_nothing_is_remembered_of_a_message_that_was_shown() -> None:
    count = 20_000
    timeline = opened()
    timeline.caught_up()
    tracemalloc.start()
    try:
        for number in range(count):
            timeline.take(said([f"{number:032x}"], f"person {number % 50}"))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown / count < 5
