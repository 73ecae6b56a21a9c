"""``streamcli tail`` through real pipes on the real server."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import datetime, timezone

import pytest

from streamcli.log.outage import END_SAID_FROM
from streamcli.model.message import decode, encode
from tests.conftest import People, Server, eventually, waiting_in
from tests.environment import STREAMCLI
from tests.raw import Raw
from tests.terminal import Terminal

DAY = "-- Sunday, 22 November 2026"


def command(people: People, *arguments: str) -> list[str]:
    return [*STREAMCLI, "tail", "--url", people.url, *arguments]


def tail(people: People, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(people, *arguments), env=people.env("reader"), capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def written(raw: Raw) -> list[str]:
    """Ten messages in the log, as they look in tail."""
    for number in range(10):
        raw.say("bot", f"number {number}.", room="ops" if number % 2 else "lobby", sent_at="2026-11-22T16:04:00Z")
    return [f"16:04 {'[ops] ' if number % 2 else ''}bot: number {number}." for number in range(10)]


def test_it_prints_the_log_from_the_head(people: People, written: list[str]) -> None:
    done = tail(people, "--no-follow")
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, [DAY, *written], "")


def test_the_last_messages_and_one_room(people: People, written: list[str]) -> None:
    assert tail(people, "--no-follow", "--last", "3").stdout.splitlines() == [DAY, *written[-3:]]
    assert tail(people, "--no-follow", "--room", "ops").stdout.splitlines() == [DAY, *written[1::2]]
    assert tail(people, "--no-follow", "--room", "ops", "--last", "2").stdout.splitlines() == [DAY, *written[1::2][-2:]]


def test_a_day_has_a_line_where_it_begins(people: People, raw: Raw) -> None:
    today = datetime.now(timezone.utc)
    times = ["2026-11-21T23:59:59Z", "2026-11-22T00:00:01Z", "2026-11-21T23:59:58Z", f"{today:%Y-%m-%dT%H:%M:%SZ}"]
    for number, sent in enumerate(times):
        raw.say("bot" if number % 2 else "alex", f"number {number}.", sent_at=sent)
    assert tail(people, "--no-follow").stdout.splitlines() == [
        "-- Saturday, 21 November 2026",
        "23:59 alex: number 0.",
        DAY,
        "00:00 bot: number 1.",
        "23:59 alex: number 2.",
        f"-- {today:%A}, {today.day} {today:%B %Y}",
        f"{today:%H:%M} bot: number 3.",
    ]
    assert tail(people, "--no-follow", "--last", "1").stdout.splitlines() == [f"{today:%H:%M} bot: number 3."]
    assert "--" not in tail(people, "--no-follow", "--json").stdout


def test_a_long_message_takes_some_rows_of_a_terminal_and_is_whole_in_a_pipe(people: People, raw: Raw) -> None:
    raw.say("bot", "\n".join(map(str, range(3200))))
    assert len(tail(people, "--no-follow").stdout.splitlines()) == 3200
    with Terminal(command(people, "--no-follow"), people.env("reader")) as terminal:
        assert terminal.end() == 0
        assert terminal.lines()[-1].strip() == "… 3,180 more lines (streamcli history shows all)"
        assert len(terminal.lines()) == 21


def test_json_is_the_wire_format_one_message_a_line(people: People, raw: Raw) -> None:
    hostile = 'bell \x07, escape \x1b[31m, next line \u2028, 8-bit \x9b31m, umlaut ä, tag \U000e0041, "quoted"'
    raw.say("bot", hostile, id="one", kind="me", sent_at="2026-11-22T16:04:00Z")
    raw.say("veteran", "two\nlines")
    lines = tail(people, "--no-follow", "--json").stdout.split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["message"] for line in lines] == [hostile, "two\nlines"]
    assert all(line.isprintable() for line in lines)
    events = raw.events()
    assert json.loads(lines[0]) == json.loads(encode(decode(events[0], 0)))  # type: ignore[arg-type]


def test_json_has_the_fields_of_a_newer_version_too(people: People, raw: Raw) -> None:
    raw.write(
        b'{"sender": "eve", "message": "x", "kind": "poll", "id": "1", "sig": "\xc2\x9b31m", "sum": 1.10, "n": NaN}'
    )
    for command in ("tail --no-follow --json", "history --json", "search --json x"):
        done = subprocess.run(
            [*STREAMCLI, *command.split(), "--url", people.url], env=people.env("r"), capture_output=True, timeout=60
        )
        assert done.stdout == (
            b'{"sender": "eve", "message": "x", "id": "1", "kind": "poll", "room": "lobby", "v": 1,'
            b' "sig": "\\u009b31m", "sum": 1.10, "n": null}\n'
        ), done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_follows_until_it_is_told_to_stop(people: People, written: list[str], raw: Raw, number: int) -> None:
    with subprocess.Popen(
        command(people, "--last", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=people.env("r"), text=True
    ) as process:
        assert process.stdout
        assert [process.stdout.readline().rstrip() for _ in range(2)] == [DAY, written[-1]]
        for count in range(5):
            raw.say("bot", f"live {count}")
            assert process.stdout.readline().endswith(f"bot: live {count}\n")
        process.send_signal(number)
        assert process.wait(30) == 130


def test_a_reader_that_leaves_early_ends_it_quietly(people: People, raw: Raw) -> None:
    raw.write(*(b'{"sender": "bot", "message": "number %d."}' % number for number in range(20_000)))
    shell = ["bash", "-c", '"$@" | head -3; echo "codes ${PIPESTATUS[@]}"', "bash", *command(people)]
    done = subprocess.run(shell, env=people.env("reader"), capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[2:] == ["--:-- bot: number 2.", "codes 0 0"]
    assert done.stderr == ""


def test_a_reader_that_is_slow_gets_everything(people: People, raw: Raw) -> None:
    raw.write(*(b'{"sender": "bot", "message": "number %d."}' % number for number in range(20_000)))
    with subprocess.Popen(command(people, "--no-follow"), stdout=subprocess.PIPE, env=people.env("r")) as process:
        assert process.stdout
        first = process.stdout.readline()
        pipe = process.stdout
        eventually(lambda: waiting_in(pipe) > 50_000)  # the pipe is full
        rest = process.stdout.read()
        assert process.wait(30) == 0
    assert (first + rest).count(b"\n") == 20_000


def test_unreadable_and_doubled_events_are_left_out_and_counted(people: People, raw: Raw) -> None:
    raw.write(
        b"no json",
        b'{"sender": "a", "message": "once", "id": "1"}',
        b"",
        b'{"sender": "a", "message": "once", "id": "1"}',
    )
    raw.say("a", "after")
    done = tail(people, "--no-follow")
    assert done.stdout.splitlines() == ["--:-- a: once", "--:-- a: after"]
    assert "2 events could not be read" in done.stderr


def test_a_stream_that_is_not_there_is_said_and_not_made(people: People) -> None:
    for _ in range(2):
        done = tail(people, "--no-follow")
        assert done.returncode == 66
        assert f"scope/{people.stream} does not exist" in done.stderr
        assert done.stderr.count("\n") == 1


def test_nobody_there_is_given_up(people: People) -> None:
    done = subprocess.run(
        [*STREAMCLI, "tail", "--url", "tcp://127.0.0.1:1", "--timeout", "1"],
        env=people.env("r"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 69
    assert "nobody listens" in done.stderr


def test_who_follows_waits_for_a_server_that_stands_still(people: People, server: Server, raw: Raw) -> None:
    raw.say("bot", "before")
    with subprocess.Popen(
        command(people, "--timeout", "3"), stdout=subprocess.PIPE, env=people.env("r"), text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline().endswith("before\n")
        # It says nothing meanwhile; who gives up ends.
        with server.stopped_in_its_tracks(), pytest.raises(subprocess.TimeoutExpired):
            process.wait(6)  # twice the timeout
        raw.say("bot", "after")
        assert process.stdout.readline().endswith("after\n")
        process.terminate()
        process.wait(30)


@pytest.mark.real
def test_who_follows_is_told_when_a_server_that_stood_still_is_back(people: People, server: Server, raw: Raw) -> None:
    pipe = subprocess.PIPE
    run = command(people, "--client", "java")  # the package pravega waits inside the library, and knows of nothing
    with subprocess.Popen(run, stdout=pipe, stderr=pipe, env=people.env("r"), text=True) as process:
        assert process.stdout and process.stderr
        raw.say("bot", "before")
        assert process.stdout.readline().endswith("before\n")
        with server.stopped_in_its_tracks():
            assert process.stderr.readline().startswith("-- waiting: the server does not answer")
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(END_SAID_FROM)
        assert process.stderr.readline().startswith("-- connected again after ")
        raw.say("bot", "after")
        assert process.stdout.readline().endswith("after\n")
        process.terminate()
        process.wait(30)


def test_several_segments_are_read_too(people: People) -> None:
    with Raw(people.url, people.stream, segments=3) as raw:
        for number in range(30):
            raw.say("bot", f"number {number}.", key=f"key {number % 7}")
        done = tail(people, "--no-follow")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(f"--:-- bot: number {number}." for number in range(30))


def test_a_locale_without_the_letters_gets_them_escaped(people: People, raw: Raw) -> None:
    raw.say("Jörg", "日本")
    env = {**people.env("r"), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command(people, "--no-follow"), env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "--:-- J\\xf6rg: \\u65e5\\u672c\n"), done.stderr


def test_who_follows_goes_on_when_the_stream_was_made_anew(people: People, raw: Raw) -> None:
    raw.say("bot", "before")
    with subprocess.Popen(command(people), stdout=subprocess.PIPE, env=people.env("r"), text=True) as process:
        assert process.stdout
        assert process.stdout.readline().endswith("before\n")
        raw.delete_stream()
        raw.say("bot", "after")
        assert process.stdout.readline().endswith("after\n")
        process.terminate()
        process.wait(30)
