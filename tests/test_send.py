"""``streamcli send`` through real pipes on the real server."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from streamcli.log import session as sessions
from streamcli.log.api import Target
from streamcli.log.session import LogSession
from streamcli.model.address import Controller, Stream
from tests.conftest import People, Server, eventually
from tests.environment import STREAMCLI, make_home
from tests.raw import Raw
from tests.scripted_log import ScriptedLog


def send(
    people: People, lines: bytes | None, *arguments: str, url: str | None = None
) -> subprocess.CompletedProcess[str]:
    command = [*STREAMCLI, "send", "--url", url or people.url, "--id", "cron", *arguments]
    done = subprocess.run(
        command,
        input=lines,
        stdin=subprocess.DEVNULL if lines is None else None,
        env=people.env("cron"),
        capture_output=True,
        timeout=100,
    )
    result = subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in result.stderr
    return result


def test_arguments_are_one_message_and_lines_are_one_each(people: People, raw: Raw) -> None:
    assert send(people, None, "hello", "you  two").returncode == 0
    assert send(people, b"one\n\n  \ntwo  \r\nlast without an end").returncode == 0
    assert send(people, b"", "--", "--verbose").returncode == 0
    assert raw.texts() == ["hello you  two", "one", "two  ", "last without an end", "--verbose"]
    assert {message["sender"] for message in raw.messages()} == {"cron"}


def test_commands_are_text_to_a_pipe_and_the_room_is_the_one_named(people: People, raw: Raw) -> None:
    assert send(people, b"greet\n/quit\n", "--room", "ops").returncode == 0
    assert [(m["message"], m["kind"], m["room"]) for m in raw.messages()] == [
        ("greet", "chat", "ops"),
        ("/quit", "chat", "ops"),
    ]


def test_twenty_thousand_lines_stay_in_order(people: People, raw: Raw) -> None:
    lines = [f"line {number}" for number in range(20_000)]
    assert send(people, "\n".join(lines).encode()).returncode == 0
    assert raw.texts() == lines


def test_a_line_that_is_not_utf8_is_named_and_what_came_before_it_is_sent(people: People, raw: Raw) -> None:
    done = send(people, b"good\n\nalso good\n\xff\xfe\nnever\n")
    assert done.returncode == 65
    assert "Line 4 is not UTF-8" in done.stderr
    assert "2 messages are in the log" in done.stderr
    assert raw.texts() == ["good", "also good"]


def test_a_line_too_long_in_the_middle_of_a_thousand(people: People, raw: Raw) -> None:
    lines = [f"line {number}" for number in range(1000)]
    lines[500] = "x" * (64 * 1024 + 1)
    done = send(people, "\n".join(lines).encode())
    assert done.returncode == 65
    assert "Line 501 is too long, a message may take 65,536 bytes" in done.stderr
    assert "500 messages are in the log" in done.stderr
    assert raw.texts() == lines[:500]


def test_a_line_without_end_is_refused_before_it_fills_the_memory(people: People) -> None:
    endless = ["bash", "-c", 'yes | tr -d "\\n" | "$@"', "bash", *STREAMCLI, "send", "--url", people.url]
    done = subprocess.run(endless, env=people.env("cron"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 65
    assert "Line 1 is too long" in done.stderr


def test_a_slow_pipe_sends_each_line_as_it_comes(people: People, raw: Raw) -> None:
    command = [*STREAMCLI, "send", "--url", people.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=people.env("cron")) as process:
        assert process.stdin
        for number in range(3):
            process.stdin.write(f"slow {number}\n".encode())
            process.stdin.flush()
            eventually(lambda number=number: len(raw.events()) == number + 1)  # type: ignore[misc]
        process.stdin.close()
        assert process.wait(30) == 0


def test_nobody_there_or_nobody_speaking_is_given_up(people: People) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for port, words in ((1, "nobody listens"), (silent.getsockname()[1], "does not answer")):
            done = send(people, b"hello\n", "--timeout", "2", url=f"tcp://127.0.0.1:{port}")
            assert done.returncode == 69
            assert words in done.stderr
            assert "0 messages are in the log" in done.stderr
            assert done.stderr.count("\n") == 1


def test_a_server_that_goes_away_half_way_and_a_count_that_is_true(people: People, server: Server, raw: Raw) -> None:
    command = [*STREAMCLI, "send", "--url", people.url, "--timeout", "3"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=people.env("cron"), text=True
    ) as process:
        assert process.stdin and process.stderr
        stdin = process.stdin
        for number in range(1000):
            stdin.write(f"before {number}\n")
        stdin.flush()
        eventually(lambda: len(raw.events()) == 1000)
        with server.stopped_in_its_tracks():
            stdin.write("".join(f"after {number}\n" for number in range(1000)))
            stdin.close()
            said = process.stderr.read()
            assert process.wait(30) == 69
    count = int(re.search(r"([\d,]+) messages are in the log", said)[1].replace(",", ""))  # type: ignore[index]
    assert count == 1000
    assert "At least 1,000 messages" in said, "the server was given more and has not answered"
    assert raw.texts()[:count] == [f"before {number}" for number in range(1000)]


def test_a_server_that_stands_still_for_a_moment_only_delays(people: People, server: Server, raw: Raw) -> None:
    lines = [f"line {number}\n" for number in range(5000)]
    command = [*STREAMCLI, "send", "--url", people.url, "--timeout", "60", "--verbose"]
    with subprocess.Popen(
        command, env=people.env("cron"), text=True, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stderr
        with server.stopped_in_its_tracks():
            process.stdin.writelines(lines)
            process.stdin.close()
            while "does not answer" not in process.stderr.readline():
                assert process.poll() is None, "it ended before the server went on"
        process.stderr.read()
        assert process.wait(90) == 0
    assert raw.texts() == [line.rstrip() for line in lines]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupting_says_how_far_it_got(people: People, raw: Raw, number: int) -> None:
    command = [*STREAMCLI, "send", "--url", people.url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=people.env("cron"), text=True
    ) as process:
        assert process.stdin and process.stderr
        process.stdin.write("one\ntwo\n")
        process.stdin.flush()
        eventually(lambda: len(raw.events()) == 2)
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait(30) == 130
    assert "Interrupted. 2 messages are in the log." in said


def test_an_interrupt_that_comes_with_an_answer_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "open_log", lambda *arguments: ScriptedLog())

    async def main(steps: int) -> None:
        nowhere = Target(Stream(), "cron", lambda: Controller("127.0.0.1", 1), tmp_path, subprocess.DEVNULL)
        session = LogSession(nowhere, 60.0)
        waiting = asyncio.create_task(session.until(lambda: False))
        while not session._news._waiters:  # noqa: ASYNC110
            await asyncio.sleep(0)  # one step of the loop
        session.moved()
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=2)
        assert waiting.cancelled(), f"lost {steps} steps of the loop after the answer"

    for steps in range(5):
        asyncio.run(main(steps))


def test_a_scope_and_a_stream_that_are_missing_are_made(people: People, tmp_path: Path) -> None:
    scope = f"made-{time.time_ns()}"
    run = [*STREAMCLI, "send", "--url", people.url, "--scope", scope, "hello"]
    assert subprocess.run(run, env=make_home(tmp_path), timeout=60).returncode == 0
    with Raw(people.url, "stream", scope=scope) as raw:
        assert raw.texts() == ["hello"]


def test_giving_up_in_the_middle_of_a_long_input_is_one_clear_line(people: People) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(20_000))
    for _ in range(3):
        done = send(people, lines, "--timeout", "1", url="tcp://127.0.0.1:1")
        assert done.returncode == 69
        assert done.stderr.count("\n") == 1, done.stderr
