"""The bottom line, and the lines in the scrollback about an outage: pure, by a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from streamcli.chat.status_line import TROUBLE_SAID_AFTER, StatusLine
from streamcli.log.api import ConnectionStatus, Phase
from streamcli.log.outage import END_SAID_FROM
from streamcli.model.numbers import duration
from streamcli.ui.prompt import shortened
from tests.conftest import People, Server
from tests.fake_clock import fake_clock

DOWN = "nobody listens"


class Line:
    """A status line, what it has said, and a clock whose timers are called as time passes."""

    def __init__(self) -> None:
        self._clock = fake_clock()
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self.said: list[str] = []
        self.line = StatusLine("here", self._clock.monotonic, self._later, self.said.append)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._timers.append((self._clock.monotonic() + seconds, what))

    def passes(self, seconds: float) -> Line:
        self._clock.sleep(seconds)
        due = [what for at, what in self._timers if at <= self._clock.monotonic()]
        self._timers = [(at, what) for at, what in self._timers if at > self._clock.monotonic()]
        for what in due:
            what()
        return self

    def down(self, words: str = DOWN, phase: Phase = Phase.CONNECTING) -> Line:
        self.line.changed(ConnectionStatus(phase, words, since=self._clock.monotonic()))
        return self

    def up(self) -> Line:
        self.line.changed(ConnectionStatus(Phase.LIVE, since=self._clock.monotonic()))
        return self


def test_an_outage_that_took_long_has_an_end_in_the_scrollback() -> None:
    line = Line().up().passes(60).down().passes(12.4).up()
    assert line.said == [f"connecting, here: {DOWN}", "connected again after 12 s"]
    line.passes(5).down("the server does not answer", Phase.STALLED).passes(1).down("gone").passes(89).up()
    assert line.said[2:] == ["waiting, here: the server does not answer", "connected again after 1 min 30 s"]


def test_a_short_outage_and_one_that_was_not_said_end_without_a_word() -> None:
    said = Line().up().down().passes(TROUBLE_SAID_AFTER).up().passes(60).said
    assert said == [f"connecting, here: {DOWN}"]
    assert Line().up().down().passes(END_SAID_FROM - 0.1).up().said == said
    assert Line().up().down().passes(END_SAID_FROM).up().said == [*said, "connected again after 3 s"]
    assert Line().up().down("").passes(60).up().said == []


def test_who_was_never_connected_is_not_connected_again() -> None:
    assert Line().down().passes(7).up().said == [f"connecting, here: {DOWN}", "connected after 7 s"]
    assert Line().passes(60).up().said == []
    line = Line()
    assert not line.line.was_connected
    assert line.up().down().line.was_connected


def test_durations() -> None:
    assert [duration(s) for s in (-1, 59, 61, 7500)] == ["0 s", "59 s", "1 min 1 s", "2 h 5 min"]


# What fits a terminal.


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("connected to here", 17, "connected to here"),
        ("connected to here", 16, "connected to he…"),
        ("connected to here", 13, "connected to…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("ab", 1, "…"),
        ("", 1, ""),
    ],
)
def test_a_line_is_cut_with_an_ellipsis(text: str, columns: int, shown: str) -> None:
    assert shortened(text, columns) == shown


@given(st.text(st.characters(exclude_categories=["C"])), st.integers(1, 60))
def test_whatever_is_cut_fits(text: str, columns: int) -> None:
    assert get_cwidth(shortened(text, columns)) <= columns


def test_the_progress_stands_before_its_bar() -> None:
    assert Line().up().line.words(live=False, progress=0.41) == "reading the log 41% ████░░░░░░"


def test_the_bottom_line_fits_the_terminal_and_says_the_state_first(people: People, server: Server) -> None:
    tim = people.opens("tim", columns=40).connected()
    assert tim.lines()[-1] == shortened(f"connected to {people.url}, scope/{people.stream}", 40)
    assert tim.lines()[-1].endswith("…")
    tim.resize(200, 30)
    tim.see_last(f"connected to {people.url}, scope/{people.stream}")
    tim.resize(40, 30)
    with server.stopped_in_its_tracks():
        tim.enter("is anybody there?")
        tim.see_last("1 pending · waiting (")
        tim.wait(lambda: "".join(tim.lines()[-1:]).endswith("…"), "an ellipsis")
    tim.see("tim: is anybody there?")
