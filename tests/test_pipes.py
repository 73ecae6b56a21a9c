"""Standard files that are pipes: read by somebody slow or by nobody, set to non-blocking, or without a clock behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from streamcli.system.fd_lines import LONGEST, lines
from streamcli.system.standard_files import patient, read, write_all
from tests.conftest import People, eventually, waiting_in
from tests.environment import STREAMCLI, workers_of
from tests.raw import Raw

GUARD = 3.0  # seconds for what is promised within one, on a machine on which much else is going on
PIPE = 1 << 16  # bytes that a pipe takes before its writer has to wait
CLOCK = str(Path(__file__).parent / "clock")


@contextlib.contextmanager
def non_blocking_pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe, which another program has set to non-blocking."""
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    try:
        yield ends
    finally:
        for fd in ends:
            with contextlib.suppress(OSError):
                os.close(fd)


def seen(log: Raw, text: str) -> bool:
    return any(message["message"] == text for message in log.messages())


def ours_below(pid: int) -> list[psutil.Process]:
    """The streamcli processes that a shell has started and that still run."""
    found = []
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "streamcli" in child.cmdline():
                found.append(child)
    return found


# Slow readers, and files set to non-blocking.


def test_a_chat_whose_reader_sleeps_goes_on_and_hears_sigterm(people: People, raw: Raw) -> None:
    for number in range(60):
        raw.say("bot", f"number {number}. " + "x" * 3000)
    command = [*STREAMCLI, people.url, "tim"]
    env = people.env("tim")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as tim:
        assert tim.stdin and tim.stdout

        def says(text: str) -> None:
            assert tim.stdin
            tim.stdin.write(f"{text}\n".encode())
            tim.stdin.flush()

        shown = os.read(tim.stdout.fileno(), 1)  # it has read the log: from now on it shows everything
        says("while the pipe is full")
        eventually(lambda: seen(raw, "while the pipe is full"))
        raw.write(*(b'{"sender": "bot", "message": "live %d. %s"}' % (number, b"y" * 500) for number in range(5000)))
        says("and still")
        eventually(lambda: seen(raw, "and still"))
        raw.say("bot", "the last")
        while not shown.endswith(b"bot: the last\n"):
            shown += os.read(tim.stdout.fileno(), PIPE)
        lines = [line[6:].decode() for line in shown.splitlines()]
        assert [line for line in lines if "live" in line] == [f"bot: live {n}. {'y' * 500}" for n in range(5000)]
        assert lines.count("tim: while the pipe is full") == lines.count("tim: and still") == 1
        raw.write(*(b'{"sender": "bot", "message": "%s"}' % (b"z" * 5000) for _ in range(40)))
        says("once more")
        eventually(lambda: seen(raw, "once more"))
        begun = time.monotonic()
        tim.send_signal(signal.SIGTERM)
        assert tim.wait(GUARD) == 0
        assert time.monotonic() - begun < GUARD


def test_a_non_blocking_output_gets_everything(people: People, raw: Raw) -> None:
    raw.write(*(b'{"sender": "bot", "message": "number %d."}' % number for number in range(5000)))
    for command in ["tail", "--no-follow"], ["history", "--last", "5000"]:
        with non_blocking_pipe() as (reading, writing):
            full = [*STREAMCLI, command[0], "--url", people.url, *command[1:]]
            with subprocess.Popen(full, stdout=writing, env=people.env("reader")) as process:
                os.close(writing)
                eventually(lambda: waiting_in(reading) > 50_000)  # the pipe is full
                os.set_blocking(reading, True)
                shown = b""
                while piece := os.read(reading, 1000):
                    shown += piece
                    time.sleep(0.0005)  # a reader's pace: the pipe is full again and again
                assert process.wait(30) == 0
        assert [line.partition(b": ")[2] for line in shown.splitlines()] == [b"number %d." % n for n in range(5000)]


def test_a_non_blocking_input_is_read_to_its_end(people: People, raw: Raw) -> None:
    for number, command in enumerate([["send", "--url", people.url], [people.url, "tim"]]):
        with non_blocking_pipe() as (reading, writing):
            whole = [*STREAMCLI, *command]
            with subprocess.Popen(whole, stdin=reading, stdout=subprocess.DEVNULL, env=people.env("tim")) as process:
                os.close(reading)
                # What reads the lines was begun before the workers: by now it waits for one.
                eventually(lambda process=process: "write_worker" in workers_of(process.pid))  # type: ignore[misc]
                write_all(writing, b"first %d\n" % number)
                eventually(lambda number=number: seen(raw, f"first {number}"))  # type: ignore[misc]
                write_all(writing, b"second %d" % number)
                os.close(writing)
                assert process.wait(30) == 0
        assert seen(raw, f"second {number}")


def test_what_is_printed_at_once_is_complete_too() -> None:
    with non_blocking_pipe() as (reading, writing):
        child = subprocess.Popen([*STREAMCLI, "--help"], stdout=writing, stderr=writing)
        os.close(writing)
        assert child.wait(30) == 0
        assert b"-h, --help       print this text\n" in read(reading, PIPE)


def test_an_output_that_is_full_is_waited_for() -> None:
    with non_blocking_pipe() as (reading, writing), os.fdopen(os.dup(writing), "w") as plain:
        data = b"x" * (3 * PIPE)
        child = os.fork()
        if not child:
            output = patient(plain)
            output.write(data.decode())
            output.flush()
            os._exit(0)
        os.close(writing)
        plain.close()
        got = 0
        while got < len(data):
            got += len(read(reading, PIPE))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not os.get_blocking(reading), "the flag is not ours to change"


# Readers that go away while nothing happens.


def test_on_a_quiet_log_it_ends_as_soon_as_nobody_reads(people: People, raw: Raw) -> None:
    raw.say("bot", "the only one")
    for command in (
        [*STREAMCLI, "tail", "--url", people.url],
        [*STREAMCLI, "tail", "--json", "--url", people.url],
        [*STREAMCLI, people.url, "tim"],
    ):
        shell = ["bash", "-c", 'sleep 60 | "$@" | grep -m1 only; echo "code ${PIPESTATUS[1]}"', "bash", *command]
        with subprocess.Popen(shell, env=people.env("tim"), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert "the only one" in process.stdout.readline()
            begun = time.monotonic()
            psutil.wait_procs(ours_below(process.pid), GUARD)
            assert time.monotonic() - begun < GUARD, command
            for child in psutil.Process(process.pid).children():
                child.kill()  # sleep
            assert process.stdout.read() == "code 0\n"


def test_a_socket_whose_other_end_is_closed_has_no_reader(people: People, raw: Raw) -> None:
    raw.say("bot", "the only one")
    ours, theirs = socket.socketpair()
    command = [*STREAMCLI, "tail", "--url", people.url]
    with theirs, subprocess.Popen(command, stdout=theirs.fileno(), env=people.env("r")) as tail:
        theirs.close()
        assert ours.recv(PIPE).endswith(b"the only one\n")
        ours.close()
        assert tail.wait(GUARD) == 0


# Clocks and time zones that can't be.


@pytest.mark.parametrize("seconds", [0, -5_000_000_000, 7_500_000_000])
def test_without_a_clock_messages_are_sent_without_a_time(people: People, raw: Raw, seconds: int) -> None:
    env = {**people.env("tim"), "PYTHONPATH": CLOCK, "STREAMCLI_TEST_CLOCK": str(seconds)}
    for number, command in enumerate([["send", "--url", people.url], [people.url, "tim"]]):
        done = subprocess.run(
            [*STREAMCLI, *command],
            input=f"one {number}\ntwo {number}\n",
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("messages are sent without a time. Set the clock.") == 1
        assert "Traceback" not in done.stderr
    assert [message["message"] for message in raw.messages()] == ["one 0", "two 0", "one 1", "two 1"]
    assert not any("sent_at" in message or "typed_at" in message for message in raw.messages())
    assert len({message["id"] for message in raw.messages()}) == 4


def test_a_prompt_without_a_clock_sends_and_says_so_once(people: People, raw: Raw) -> None:
    from tests.terminal import Terminal

    raw.say("alex", "good morning", sent_at="2026-11-22T16:04:00Z")
    env = {**people.env("tim"), "PYTHONPATH": CLOCK, "STREAMCLI_TEST_CLOCK": "0", "TZ": "WGT30"}
    with Terminal([*STREAMCLI, people.url, "tim"], env, columns=150).connected() as tim:
        tim.see("16:04 alex: good morning")
        tim.enter("hello")
        tim.see("--:-- tim: hello")
        raw.say("alex", "live", sent_at="2026-11-22T16:05:00Z")
        tim.see("16:05 alex: live")
        assert tim.count("This machine's clock says 01 January 1970: messages are sent without a time.") == 1
        assert tim.count("The time zone WGT30 is not valid: times are shown in UTC.") == 1
        assert "(time" not in "\n".join(tim.lines()), "nobody's clock is judged by one that is not set"
    env = {**people.env("tim"), "TZ": "WGT30"}
    for command in ("tail", "history"):
        arguments = ["--no-follow"] if command == "tail" else []
        run = [*STREAMCLI, command, "--url", people.url, *arguments]
        done = subprocess.run(run, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "16:04 alex: good morning\n" in done.stdout
        assert done.stderr.count("The time zone WGT30 is not valid") == 1


# Interrupted in the middle.


def test_the_count_of_an_interrupted_send_is_true(people: People, raw: Raw) -> None:
    command = ["bash", "-c", 'yes spam | exec "$@"', "bash", *STREAMCLI, "send", "--url", people.url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=people.env("cron"), text=True) as process:
        assert process.stderr
        eventually(lambda: raw.bounds()[1] > 100_000)
        ours_below(process.pid)[0].send_signal(signal.SIGINT)
        said = process.stderr.read()
    count = int(said.partition("are in the log")[0].split()[-2].replace(",", ""))
    there = len(raw.events())
    assert count == there if "At least" not in said else 0 < count <= there, said


# Long and endless input.


def test_of_a_line_that_is_far_too_long_only_the_beginning_is_given() -> None:
    reading, writing = os.pipe()
    long = b"a" * (3 * LONGEST)

    def write() -> None:
        write_all(writing, long + b"\nnext\n" + long[:LONGEST] + b"\nlast")
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    found = [line for some in lines(reading) for line in some]
    thread.join()
    os.close(reading)
    assert [line[:4] for line in found] == [b"aaaa", b"next", b"aaaa", b"last"]
    assert len(found[0]) < 2 * LONGEST


def test_a_chat_with_an_endless_input_hears_sigterm_and_reads_no_more_than_it_sends(people: People) -> None:
    with subprocess.Popen(["yes", "spam"], stdout=subprocess.PIPE) as yes:
        chat = subprocess.Popen(
            [*STREAMCLI, people.url, "tim"], env=people.env("tim"), stdin=yes.stdout, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert yes.stdout and chat.stdout and chat.stderr
        yes.stdout.close()
        shown = 0
        while shown < 20_000:
            shown += os.read(chat.stdout.fileno(), 1 << 16).count(b"\n")
        chat.send_signal(signal.SIGTERM)
        _, said = chat.communicate(timeout=30)
        yes.kill()
    assert chat.returncode == 0
    assert b"Traceback" not in said
    left = re.search(rb"and ([0-9]+) more", said)
    assert left is None or int(left[1]) < 60_000  # what one read of standard input brings, and some
