"""A chat on a stream of several segments, with exact positions: Pravega's Java client, asked for or chosen."""

from __future__ import annotations

import re

import pytest

from tests.conftest import People, Server
from tests.java_admin import Admin
from tests.raw import Raw

KEYS = [f"key {number}" for number in range(8)]
CHOSEN = pytest.mark.parametrize("options", [("--client", "java"), ()], ids=["java", "chosen"])


def say(raw: Raw, name: str, count: int = 2) -> None:
    for number in range(count):
        for key in KEYS:
            raw.say("old", f"{name} {number} of {key}.", key=key)


def in_order(lines: list[str], names: list[str], count: int = 2) -> bool:
    """Whether all was shown, each once and in the order of its key."""
    for key in KEYS:
        shown = [line for line in lines if line.endswith(f"of {key}.")]
        wanted = [f"{name} {number} of {key}." for name in names for number in range(count)]
        if [re.sub(r"^.*old: ", "", line) for line in shown] != wanted:
            return False
    return True


@CHOSEN
def test_a_split_and_a_join_under_a_running_chat_lose_nothing(
    people: People, server: Server, stream: str, options: tuple[str, ...]
) -> None:
    with Raw(people.url, stream) as raw, Admin(server.url) as admin:
        say(raw, "past")
        tim = people.opens("tim", *options, lines=200)
        tim.see(": past 1", times=8, deadline=40)
        tim.connected()
        admin.scale(stream, [0], [0.0, 0.5, 1.0])
        say(raw, "split")
        tim.see("split 1", times=8, deadline=40)
        admin.scale(stream, admin.current(stream), [0.0, 1.0])
        say(raw, "joined")
        tim.see("joined 1", times=8, deadline=40)
        tim.enter("still here")
        tim.see("tim: still here")
        assert in_order(tim.lines(), ["past", "split", "joined"]), tim.lines()
        later = people.opens("later", *options, lines=200)
        later.see("tim: still here", deadline=40)
        later.connected()
        assert in_order(later.lines(), ["past", "split", "joined"]), "\n".join(later.lines())


@CHOSEN
def test_an_empty_event_is_passed_and_the_next_start_shows_only_what_is_new(
    people: People, stream: str, options: tuple[str, ...]
) -> None:
    with Raw(people.url, stream, segments=3) as raw:
        say(raw, "past")
        raw.write(b"", key=KEYS[0])
        say(raw, "behind")
        tim = people.opens("tim", *options, lines=200)
        tim.see("behind 1", times=8, deadline=40)
        tim.see("1 event could not be read (empty)")
        assert in_order(tim.lines(), ["past", "behind"])
        tim.connected()
        tim.type("\x04")
        assert tim.end() == 0
        say(raw, "new")
        again = people.opens("tim", *options, lines=200)
        again.see("new 1", times=8, deadline=40)
        again.connected()
        assert in_order(again.lines(), ["past", "behind", "new"]), again.lines()
