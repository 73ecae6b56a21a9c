"""The bench's own arithmetic; what it measures is never a test."""

from __future__ import annotations

import json
from dataclasses import astuple

import pytest

from bench.figures import Row, as_json, at_least, at_most, percentile, summary, table
from bench.raw import TEXT, event
from bench.report import PART, rows
from bench.soak import Sample
from bench.soak import rows as soak_rows
from bench.testbed import NUMBER
from streamcli.model.message import Chat, decode


def test_a_percentile_is_a_sample_that_so_many_don_t_exceed() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7.0], 0.99) == 7


def test_samples_in_any_order_are_summed_up() -> None:
    assert astuple(summary([3.0, 1.0, 2.0])) == (3, 1, 2, 3, 3, 3)
    with pytest.raises(ValueError, match="nothing was measured"):
        summary([])


def test_a_goal_that_is_missed_says_by_how_much() -> None:
    assert at_most("memory", 120, 150, "MiB") == Row("memory", "120 MiB", "at most 150 MiB", True)
    assert at_most("p50", 6.5, 4, "ms") == Row("p50", "6.5 ms, 2.5 ms too much", "at most 4.0 ms", False)
    assert at_least("speed", 40_000, 50_000, "/s").measured == "40,000 /s, 10,000 /s too little"


def test_the_table_is_markdown_in_even_columns() -> None:
    lines = table([Row("a", "1 ms"), Row("bcd", "22 ms", "at most 20 ms", False)]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[-1] == "| bcd  | 22 ms    | at most 20 ms | NO  |"


def test_the_table_has_rows_for_what_was_measured_and_no_others() -> None:
    found = rows({"latency": {"wheel": [5.0, 9.0], "raw": [2.0, 3.0]}})
    assert [row.met for row in found] == [None, None, True, True]


def test_each_client_has_its_rows_and_java_is_held_against_the_wheel() -> None:
    found = rows({"latency": {"wheel": [5.0], "java": [5.6], "raw": [2.0]}})
    assert [row.what for row in found if row.what.endswith(("wheel", "java"))] == [
        "Enter to the other screen, 50 msg/s, wheel",
        "Enter to the other screen, 50 msg/s, java",
    ]
    assert found[-1].what == "– p50 above the wheel's" and found[-1].met is False
    took = {"prompt": [1.0], "rss": [155.0], "pss": [100.0]}
    caught = rows({"catch-up": {"messages": 900, "wheel": {**took, "all": [2.0]}, "java": {**took, "all": [2.1]}}})
    assert [row.met for row in caught if row.what.startswith("– memory")] == [False, True]
    assert caught[-1].measured == "0.91 " and caught[-1].met


def test_a_message_is_found_in_what_a_terminal_draws() -> None:
    drawn = b"\x1b[2m16:04\x1b[0m \x1b[38;5;64mtim\x1b[0m: m000042. so\r\ntim> m000043. next"
    assert NUMBER.findall(drawn) == [b"000042"]


def test_the_raw_client_writes_messages_of_ours_with_a_time() -> None:
    data = event(42, TEXT)
    message = decode(data, 0)
    assert isinstance(message, Chat) and message.message == f"m000042. {TEXT}"
    assert 180 <= len(data) <= 260 and json.loads(data)["ns"] > 0


def test_only_the_measured_part_of_the_docs_is_replaced() -> None:
    text = "before\n<!-- measured -->\nold\n<!-- end measured -->\nafter\n"
    assert PART.sub("new\n", text) == text.replace("old", "new")


def test_the_file_holds_numbers_that_can_be_believed() -> None:
    assert as_json({"a": [1 / 3, (2, True)], "b": "text"}) == {"a": [0.333, [2, True]], "b": "text"}


def test_two_hours_are_judged_by_what_grows_after_the_tenth_minute() -> None:
    def rows_of(rss: float, threads: int) -> list[Row]:
        """A chat that holds ``rss`` MiB and so many threads at the end, and half as much before minute 10."""
        held = [(0.0, 50.0, 10), (10.0, 100.0, 30), (12.0, 100.0, 30), (118.0, rss, threads), (120.0, rss, threads)]
        return soak_rows([Sample(minute, "tim", "host", mib, count, 70) for minute, mib, count in held])

    assert [row.met for row in rows_of(109, 34)] == [True, True, True]
    assert [row.met for row in rows_of(111, 35)] == [False, False, True]
    assert rows_of(111, 35)[0].measured == "11.0 %, 100 → 111 MiB (host 100 → 111), 1.0 % too much"
