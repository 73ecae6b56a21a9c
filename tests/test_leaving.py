"""Going and coming back: every way out, what a killed process costs, and a terminal that is as it was before."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyte
import pytest
from ptyprocess import PtyProcess

from tests.conftest import People, Server, Tell, eventually
from tests.environment import STREAMCLI, workers_of
from tests.raw import Raw
from tests.terminal import Screen, Terminal

PROMISED = 1.0  # seconds that leaving may take
GUARD = 3.0  # the same on a machine on which much else is going on

WAYS: dict[str, Callable[[Terminal], None]] = {
    "Ctrl-D": lambda terminal: terminal.type("\x04"),
    "/quit": lambda terminal: terminal.enter("/quit"),
    "SIGTERM": lambda terminal: os.kill(terminal.pid, signal.SIGTERM),
    "SIGHUP": lambda terminal: os.kill(terminal.pid, signal.SIGHUP),
}


def settings_of(terminal: Terminal) -> list[Any]:
    settings: list[Any] = termios.tcgetattr(terminal.process.fd)
    return settings


def gone(*pids: int) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


def time_to_leave(terminal: Terminal, way: Callable[[Terminal], None], code: int = 0) -> float:
    """Leave, check that nothing is left behind, and return the seconds it took."""
    workers = workers_of(terminal.pid).values()
    begun = time.perf_counter()
    way(terminal)
    assert terminal.end(GUARD) == code
    seconds = time.perf_counter() - begun
    eventually(lambda: gone(*workers), GUARD)
    assert terminal.raw.rfind(b"\x1b[?2004l") > terminal.raw.rfind(b"\x1b[?2004h"), "bracketed paste is still on"
    assert "Traceback" not in "\n".join(terminal.lines())
    return seconds


@pytest.mark.parametrize("name", WAYS)
def test_leaving_takes_a_moment_and_restores_the_terminal(people: People, tell: Tell, name: str) -> None:
    tim = people.opens("tim")
    before = settings_of(tim)
    assert before[3] & termios.ICANON
    tim.connected()
    assert settings_of(tim) != before
    tim.enter("last words")
    tim.see("tim: last words")
    tim.enter("just before")
    seconds = time_to_leave(tim, WAYS[name])
    assert settings_of(tim) == before
    assert tim.count("tim: last words") == 1, "the messages stay"
    assert not [line for line in tim.lines() if line.startswith("tim>")], "the prompt goes"
    assert tim.lines()[-1].endswith(("last words", "just before"))
    assert "Not sent" not in "\n".join(tim.lines())
    tell(f"left with {name} in {seconds:.3f} s")


def test_what_was_typed_just_before_leaving_is_sent(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    tim.type("last words\r\x04")
    assert tim.end() == 0
    assert [message["message"] for message in raw.messages()] == ["last words"]


@pytest.mark.parametrize("name", WAYS)
def test_leaving_a_stalled_server_names_what_is_unsent(people: People, server: Server, tell: Tell, name: str) -> None:
    tim = people.opens("tim", columns=200)
    before = settings_of(tim)
    tim.connected()
    with server.stopped_in_its_tracks():
        tim.enter("nobody reads this")
        tim.see_last("1 pending")
        seconds = time_to_leave(tim, WAYS[name])
        assert settings_of(tim) == before
        tim.see(
            f"Not sent yet: “nobody reads this”. The next start with {people.url}, scope/{people.stream} will send it."
        )
    tell(f"left with {name} in {seconds:.3f} s, server stalled")


def without_outbox(people: People, name: str) -> Terminal:
    """``name`` joins, and nothing can be kept on disk: a file stands where the outbox's folder should be."""
    folder = Path(people.env(name)["HOME"]) / f".local/share/streamcli/{name}"
    folder.mkdir(parents=True)
    (folder / "outbox").touch()
    terminal = people.opens(name, columns=300).connected()
    terminal.see("What you type is sent, but lost if streamcli ends before.")
    return terminal


def test_what_is_not_kept_is_asked_about(people: People, server: Server) -> None:
    tim = without_outbox(people, "tim")
    with server.stopped_in_its_tracks():
        tim.enter("nobody reads this")
        tim.see_last("1 pending")
        tim.type("\x04")
        tim.see("Not sent: “nobody reads this”. Leave again to quit without sending.", deadline=GUARD)
        time_to_leave(tim, WAYS["Ctrl-D"])
        tim.see("Not sent: “nobody reads this”.", times=2)


def test_a_signal_while_it_may_still_ask_is_obeyed(people: People, server: Server) -> None:
    tim = without_outbox(people, "tim")
    with server.stopped_in_its_tracks():
        tim.enter("unsent")
        tim.see_last("1 pending")

        def both(terminal: Terminal) -> None:
            terminal.type("\x04")
            os.kill(terminal.pid, signal.SIGTERM)

        time_to_leave(tim, both)
        assert tim.count("Leave again") == 0


def test_it_asks_again_when_something_new_is_unsent(people: People, server: Server) -> None:
    tim = without_outbox(people, "tim")
    with server.stopped_in_its_tracks():
        tim.enter("first")
        tim.see_last("1 pending")
        tim.type("\x04")
        tim.see("Leave again", times=1)
        tim.enter("second")
        tim.see_last("2 pending")
        tim.type("\x04")
        tim.see("Leave again", times=2)
        tim.see("Not sent: “first”, “second”.")
    tim.see("tim: second")
    time_to_leave(tim, WAYS["Ctrl-D"])


def test_ctrl_c_clears_the_line_and_twice_leaves(people: People) -> None:
    tim = people.joins("tim")
    for _ in range(2):
        tim.type("something")
        tim.see_typed("tim> something")
        tim.type("\x03")
        tim.see_typed("tim> ")
    tim.see_last("Ctrl-C again leaves")
    tim.type("\x1b[A")
    tim.see_typed("tim> something")
    tim.see_last("connected")  # there is a line again, and Ctrl-C clears it
    tim.type("\x03")
    tim.see_typed("tim> ")
    tim.see_last("Ctrl-C again leaves")
    time_to_leave(tim, lambda terminal: terminal.type("\x03"), code=130)


@pytest.mark.parametrize("stalled", [False, True])
def test_closing_the_window_ends_the_program(people: People, server: Server, tell: Tell, stalled: bool) -> None:
    env = people.env("tim")
    process = PtyProcess.spawn([*STREAMCLI, people.url, "tim"], env=env, dimensions=(24, 80))
    screen = Screen(80, 24)  # read here, since a reading thread would keep the window open
    stream = pyte.ByteStream(screen)

    def see(text: str) -> None:
        while not any(text in row for row in screen.display):
            stream.feed(os.read(process.fd, 65536))

    see("connected to")
    eventually(lambda: len(workers_of(process.pid)) == 2)
    workers = workers_of(process.pid).values()
    with server.stopped_in_its_tracks() if stalled else contextlib.nullcontext():
        os.write(process.fd, b"a line\rhalf a li")
        see("... a line" if stalled else "tim: a line")
        begun = time.perf_counter()
        process.fileobj.close()
        process.closed = True
        eventually(lambda: gone(process.pid), GUARD)
        seconds = time.perf_counter() - begun
        eventually(lambda: gone(*workers), GUARD)
    _, status = os.waitpid(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    log = (Path(env["HOME"]) / ".local/state/streamcli/log/streamcli.log").read_text()
    assert ("Not sent yet: “a line”" in log) == stalled
    tell(f"window closed, gone in {seconds:.3f} s, server {'stalled' if stalled else 'well'}")


def test_leaving_does_not_wait_for_a_silent_name_server(people: People, tell: Tell) -> None:
    slow = "import socket, time; socket.getaddrinfo = lambda *a, **k: time.sleep(60); "
    slow += "from streamcli.cli.main import main; "
    command = [sys.executable, "-c", slow + "main()", "tcp://slow.example:9090", "tim"]
    with Terminal(command, people.env("tim")) as tim:
        tim.see_last("connecting")
        tim.see_last("does not answer")
        tell(f"left a silent name server in {time_to_leave(tim, WAYS['Ctrl-D']):.3f} s")


def test_suspended_and_back_while_others_talk(people: People, raw: Raw) -> None:
    command = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(command, {**people.env("tim"), "PS1": "shell> ", "PS2": "", "HISTFILE": ""}) as shell:
        shell.enter(f"{' '.join(STREAMCLI)} {people.url} tim")
        shell.see_last("connected to")
        shell.type("half ty")
        shell.see_typed("tim> half ty")
        shell.type("\x1a")
        shell.see("Stopped")
        shell.see_typed("shell> ")
        for number in range(100):
            raw.say("alex", f"while away {number}.", text="x" * 2000)  # more than fits the pipe
        shell.enter("echo the terminal is $((40 + 2))")
        shell.see("the terminal is 42")
        assert shell.count("while away") == 0
        shell.enter("fg")
        shell.see("alex: while away 99.")
        assert shell.count("alex: while away") == 100
        shell.see_typed("tim> half ty")
        shell.enter("ped")
        shell.see("tim: half typed")
        shell.type("not this")
        shell.see_typed("tim> not this")
        shell.type("\x03")
        shell.enter("back again")
        shell.see("tim: back again")
        shell.type("\x04")
        shell.see_typed("shell> ")
        shell.enter("exit")
        assert shell.end() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_workers_that_die_or_freeze_are_replaced_under_typing(people: People, raw: Raw, number: int) -> None:
    tim, alex = people.joins("tim"), people.joins("alex")
    said: list[str] = []
    # A frozen worker is noticed only after some seconds: both at once.
    each = [("read_worker",), ("write_worker",)] * 2 if number == signal.SIGKILL else [("read_worker", "write_worker")]
    for names in each:
        said.append(f"before {len(said)}.")
        tim.enter(said[-1])
        old = {name: workers_of(tim.pid)[name] for name in names}
        for pid in old.values():
            os.kill(pid, number)
        said.append(f"after {len(said)}.")
        tim.enter(said[-1])
        raw.say("bot", f"meanwhile {len(said)}.")
        eventually(lambda: all(workers_of(tim.pid).get(name, pid) != pid for name, pid in old.items()))  # noqa: B023
        tim.connected()
    for terminal in (tim, alex):
        terminal.see(f"tim: {said[-1]}")
        terminal.see(f"bot: meanwhile {len(said)}.")
        lines = [line.partition("tim: ")[2].partition(" (typed ")[0] for line in terminal.lines() if "tim: " in line]
        assert lines == said
        assert terminal.count("bot: meanwhile") == len(said) // 2
    tim.wait(lambda: "pending" not in tim.lines()[-1], "nothing pending")
    # In the log a line may stand twice, with one id, when its acknowledgement died with the worker.
    ids = {message["id"]: message["message"] for message in raw.messages() if message["sender"] == "tim"}
    assert list(ids.values()) == said


def test_a_killed_prompt_leaves_no_worker_and_its_user_comes_back_at_once(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    tim.enter("before the fall")
    tim.see("tim: before the fall")
    workers = workers_of(tim.pid).values()
    os.kill(tim.pid, signal.SIGKILL)
    assert tim.end() == -signal.SIGKILL
    eventually(lambda: gone(*workers), GUARD)
    raw.say("alex", "while tim was away")
    for _ in range(3):
        again = people.joins("tim")
        again.see("alex: while tim was away")
        assert again.count("tim: before the fall") == again.count("alex: while tim was away") == 1
        os.kill(again.pid, signal.SIGKILL)
        again.end()
    back = people.joins("tim")
    back.enter("here again")
    back.see("tim: here again")
    assert [message["message"] for message in raw.messages()] == [
        "before the fall",
        "while tim was away",
        "here again",
    ]
