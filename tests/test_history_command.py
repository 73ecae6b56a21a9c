"""`streamcli history` and `streamcli search`: what this machine remembers, with a server and without."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.conftest import People, Server
from tests.environment import STREAMCLI
from tests.raw import Raw


def ask(people: People, *arguments: str, url: str | None = None) -> tuple[int, list[str], str]:
    """Run a command as tim; its exit code, its lines, and what it says beside them."""
    command = [*STREAMCLI, *arguments[:1], "--url", url or people.url, "--id", "tim", *arguments[1:]]
    done = subprocess.run(command, env=people.env("tim"), capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_history_takes_in_what_is_new_and_needs_no_server_afterwards(people: People, raw: Raw, server: Server) -> None:
    for number in range(60):
        raw.say("alex", f"message {number}.", sent_at="2026-11-20T14:03:00Z")
    code, lines, words = ask(people, "history")
    assert (code, words) == (0, "")
    assert lines[0] == "-- Friday, 20 November 2026"
    assert lines[1:] == [f"14:03 alex: message {number}." for number in range(10, 60)]
    raw.say("alex", "one more.", sent_at="2026-11-20T14:04:00Z")
    assert ask(people, "history", "--last", "2")[1][1:] == ["14:03 alex: message 59.", "14:04 alex: one more."]
    code, lines, words = ask(people, "history", "--last", "1", "--json")
    assert [json.loads(line)["message"] for line in lines] == ["one more."]
    with server.stopped_in_its_tracks():
        code, lines, words = ask(people, "history", "--last", "1")
        assert (code, lines[1:]) == (0, ["14:04 alex: one more."])
        assert words.startswith("-- From this machine's disk only: the server does not answer")
        code, lines, words = ask(people, "search", "more")
        assert (code, lines[1:]) == (0, ["14:04 alex: one more."])
    assert raw.streams().count(people.stream) == 1


def test_search_finds_the_newest_and_says_when_there_is_nothing(people: People, raw: Raw) -> None:
    raw.say("alex", "the quick brown fox", sent_at="2026-11-20T14:03:00Z")
    for number in range(60):
        raw.say("alex", f"message {number}.", sent_at="2026-11-20T14:04:00Z")
    assert ask(people, "search", "quick", "bro")[:2] == (
        0,
        ["-- Friday, 20 November 2026", "14:03 alex: the quick brown fox"],
    )
    assert ask(people, "search", "message")[1][1:] == [f"14:04 alex: message {number}." for number in range(10, 60)]
    assert ask(people, "search", "--last", "1", "--", "alex", "--json")[0] == 1
    assert ask(people, "search", "nowhere") == (1, [], "streamcli: Nothing found.\n")


def test_without_history_and_server_there_is_one_line(people: People, tmp_path: Path) -> None:
    code, lines, words = ask(people, "history", url="tcp://127.0.0.1:1")
    assert (code, lines) == (69, [])
    assert words.startswith("streamcli: There is no history on this machine yet, and no server to read from: ")
    assert len(words.splitlines()) == 1


def test_a_stream_that_does_not_exist_is_not_made(people: People, raw: Raw) -> None:
    code, lines, words = ask(people, "history", "--stream", "never-made")
    assert (code, lines) == (69, [])
    assert "the stream scope/never-made does not exist on that server" in words
    assert "never-made" not in raw.streams()


def test_an_empty_log_has_no_messages(people: People, raw: Raw) -> None:
    assert ask(people, "history") == (1, [], "streamcli: There are no messages yet.\n")
