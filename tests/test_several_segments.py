"""A chat on a stream of several segments, with exact positions: Pravega's Java client, asked for or chosen."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.conftest import People, Server, Tell
from tests.environment import STREAMCLI, workers_of
from tests.java_admin import Admin
from tests.raw import HAS_WHEEL, Raw
from tests.terminal import Terminal
from tests.test_java_unusable import FAULTS, NO_THREAD, broken_java

KEYS = [f"key {number}" for number in range(8)]
LOUD, QUIET = 200, 5  # events of one key at once
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


# A wheel chat whose better client can't run here.


def goes_on(people: People, env: dict[str, str], raw: Raw) -> None:
    """The chat works with the package pravega, and only its log file says why."""
    with Terminal([*STREAMCLI, people.url, "tim"], env, lines=200) as tim:
        tim.see(": past 1", times=8)
        tim.connected()
        tim.enter("still here")
        tim.see("tim: still here")
        say(raw, "live")
        tim.see("live 1", times=8)
        assert in_order(tim.lines(), ["past", "live"]), tim.lines()
        assert tim.count("Java") == 0
        assert len(set(workers_of(tim.pid).values())) == 2, "a process for each direction"
        tim.type("\x04")
        assert tim.end() == 0
    (log,) = (people.folder / "tim").rglob("streamcli.log")
    assert log.read_text().count("going on without offsets: ") == 1


@pytest.mark.wheel
def test_a_java_that_is_broken_costs_offsets_and_not_the_chat(people: People, stream: str, tmp_path: Path) -> None:
    with Raw(people.url, stream, segments=3) as raw:
        say(raw, "past")
        goes_on(people, {**people.env("tim"), "STREAMCLI_JAVA": broken_java(tmp_path / "java")}, raw)


@pytest.mark.wheel
@pytest.mark.parametrize("fault", ["kill", f"say {NO_THREAD}"], ids=["killed", "no threads"])
def test_a_java_that_never_gets_what_it_needs_costs_offsets_and_not_the_chat(
    people: People, stream: str, tmp_path: Path, fault: str
) -> None:
    script = tmp_path / "script"
    script.write_text(f"{fault}\n")
    with Raw(people.url, stream, segments=3) as raw:
        say(raw, "past")
        goes_on(people, {**people.env("tim"), "PYTHONPATH": FAULTS, "STREAMCLI_TEST_HOST": str(script)}, raw)


# `tail` while the stream is scaled under it.


@pytest.mark.parametrize("options", [("--client", "java"), ("--client", "wheel"), ()], ids=["java", "wheel", "chosen"])
def test_a_tail_that_follows_through_splits_and_joins_prints_all_once_and_in_each_rooms_order(
    people: People, server: Server, stream: str, tell: Tell, options: tuple[str, ...]
) -> None:
    if HAS_WHEEL is False and "wheel" in options:
        pytest.skip("there is no package pravega here")
    command = [*STREAMCLI, "tail", "--json", "--url", people.url, *options]
    said = Counter[str]()

    def round_() -> None:
        for key in KEYS:
            # One room has most of it, so that segments that are joined do not end at the same time.
            texts = range(said[key], said[key] + (LOUD if key == KEYS[0] else QUIET))
            raw.write(
                *(b'{"sender": "old", "message": "%d", "room": "%c"}' % (n, key[-1].encode()) for n in texts), key=key
            )
            said[key] += len(texts)

    with Raw(people.url, stream) as raw, Admin(server.url) as admin:
        round_()
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=people.env("reader"), text=True) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(said.total())]
            scaling = threading.Thread(target=scale, args=(admin, stream))
            scaling.start()
            while scaling.is_alive():  # nobody reads what tail prints meanwhile, so it falls behind
                round_()
            scaling.join()
            for _ in range(3):
                round_()
            lines += [process.stdout.readline() for _ in range(said.total() - len(lines))]
            process.terminate()
            rest = process.stdout.read()
        assert rest == "", "doubled"
    tell(f"{' '.join(options) or 'chosen'}: {len(lines)} messages")
    numbers = defaultdict(list)
    for message in map(json.loads, lines):
        numbers[message["room"]].append(int(message["message"]))
    assert numbers == {key[-1]: list(range(count)) for key, count in said.items()}


def scale(admin: Admin, stream: str) -> None:
    """Split the stream in two and in three, and join two of them, then all."""
    admin.scale(stream, [0], [0.0, 0.5, 1.0])
    admin.scale(stream, admin.current(stream)[1:], [0.5, 0.75, 1.0])
    admin.scale(stream, admin.current(stream)[:2], [0.0, 0.75])
    admin.scale(stream, admin.current(stream), [0.0, 1.0])
