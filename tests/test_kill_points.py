"""kill -9 at every step of a message's way: after the next start it is there once, in order, and nothing waits."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.conftest import People, Server
from tests.environment import STREAMCLI
from tests.kill_points.sitecustomize import LAST, STEPS
from tests.raw import Raw
from tests.terminal import Terminal

KILLER = str(Path(__file__).parent / "kill_points")


def said(terminal: Terminal) -> list[str]:
    """What tim said, as ``terminal`` shows it."""
    return [line.partition("tim: ")[2].partition(" (typed ")[0] for line in terminal.lines() if "tim: " in line]


def doomed(people: People, step: str) -> Terminal:
    """tim opens a chat that will die at ``step``."""
    env = {**people.env("tim"), "PYTHONPATH": KILLER, "STREAMCLI_TEST_STEP": step}
    return Terminal([*STREAMCLI, people.url, "tim"], env)


def nothing_waits(terminal: Terminal) -> None:
    terminal.wait(lambda: "pending" not in terminal.lines()[-1], "nothing pending")
    terminal.enter("/outbox")
    terminal.see("The outbox is empty")


@pytest.mark.parametrize("step", STEPS)
def test_killed_at(step: str, people: People, raw: Raw) -> None:
    alex = people.joins("alex")
    with doomed(people, step).connected() as tim:
        tim.enter("first")
        tim.see("tim: first")
        nothing_waits(tim)
        tim.enter(LAST)
        assert tim.end() == -signal.SIGKILL
    # What was typed but had no time to reach the disk may be lost, and it may be in the log already.
    expected = ["first", "after"] if step == "typed" else ["first", LAST, "after"]
    again = people.joins("tim")
    again.enter("after")
    for terminal in (again, alex):
        terminal.see("tim: after")
        assert said(terminal) == expected
    nothing_waits(again)
    again.type("\x04")
    assert again.end() == 0
    third = people.joins("tim")
    third.see("tim: after")
    assert said(third) == expected
    assert third.count(" new") == 0
    ids = {message["id"]: message["message"] for message in raw.messages()}
    assert list(ids.values()) == expected
    if step in ("read", "stored", "drawn", "forgotten"):
        assert len(raw.messages()) == len(expected), "it was in the log and known to be, and was sent again"


@pytest.mark.parametrize("step", ["synced", "handed over"])
def test_killed_in_an_outage(step: str, people: People, raw: Raw, server: Server) -> None:
    with doomed(people, step).connected() as tim:
        tim.enter("first")
        tim.see("tim: first")
        with server.stopped_in_its_tracks():
            tim.enter("second")
            tim.see_last("1 pending")
            tim.enter(LAST)
            assert tim.end() == -signal.SIGKILL
            again = people.opens("tim")
            again.see_last("2 pending" if step == "synced" else "pending")
            again.enter("third")
        again.see("tim: third")
    texts = [text for text in said(again) if text != LAST or step == "synced"]
    assert texts == ["first", "second", *([LAST] if step == "synced" else []), "third"]
    assert said(again).count(LAST) <= 1
    nothing_waits(again)
