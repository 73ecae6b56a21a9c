"""When the server is not there, stalls, dies or is stopped: the prompt lives on, nothing typed is lost or doubled."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.conftest import People, Server, eventually, nobody_starts_a_server, start_server
from tests.environment import STREAMCLI, make_home, workers_of
from tests.raw import Raw
from tests.terminal import DEADLINE, Terminal

GUARD = 3.0  # seconds for what is promised within one, on a machine on which much else is going on
WIDE = 200  # columns, so that the status line shows all it has to say
HANG = 1.0  # seconds between a key and its echo
Tell = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Say a figure to whoever watches the tests."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")

    return say


class Door:
    """A port that is closed, silent or strange, until it is opened: then it leads to the real controller."""

    def __init__(self, server: Server) -> None:
        self._target = int(server.url.rpartition(":")[2])
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._socket.getsockname()[1]}"
        self.how = "closed"
        self._held: list[socket.socket] = []

    def be(self, how: str) -> None:
        if how != "closed" and self.how == "closed":
            self._socket.listen()
            threading.Thread(target=self._accept, daemon=True).start()
        self.how = how

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for one in (self._socket, *self._held):
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller = self._socket.accept()[0]
                self._held.append(caller)
                if self.how == "open":
                    server = socket.create_connection(("127.0.0.1", self._target))
                    self._held.append(server)
                    for one, other in ((caller, server), (server, caller)):
                        threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()
                elif self.how == "strange":
                    caller.sendall(b"220 mail.example ESMTP\r\n")

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(65536):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)


@pytest.fixture
def door(server: Server) -> Iterator[Door]:
    door = Door(server)
    yield door
    door.close()


def lines_of(raw: Raw, sender: str) -> list[str]:
    """What ``sender`` has in the log, doubles and all."""
    return [message["message"] for message in raw.messages() if message["sender"] == sender]


WORDS = {"closed": "nobody listens", "silent": "does not answer", "strange": "is no Pravega controller"}


@pytest.mark.parametrize("how", WORDS)
def test_without_a_server_the_prompt_lives_and_the_chat_comes_with_it(
    people: People, raw: Raw, door: Door, tell: Tell, how: str
) -> None:
    door.be(how)
    begun = time.perf_counter()
    tim = people.opens("tim", url=door.url, columns=WIDE)
    tim.see_last("connecting", deadline=GUARD)
    tell(f"{how}: “connecting” after {time.perf_counter() - begun:.3f} s, import and all")
    tim.see_last(WORDS[how])
    said = [f"typed meanwhile {number}." for number in range(20)]
    for line in said:
        tim.enter(line)
    tim.see_last("20 pending")
    assert workers_of(tim.pid) == {}, "a worker must not meet a server that does not answer"
    tim.type("not this")
    tim.see_typed("tim> not this")
    tim.type("\x03")
    tim.see_typed("tim> ")
    door.be("open")
    tim.connected()
    tim.see("tim: typed meanwhile 19.")
    tim.wait(lambda: "pending" not in tim.lines()[-1], "nothing pending")
    assert lines_of(raw, "tim") == said
    assert [line.partition("tim: ")[2].partition(" (typed")[0] for line in tim.lines() if "tim: " in line] == said


@pytest.mark.parametrize(("how", "keys", "code"), [("closed", "\x04", 0), ("silent", "\x03\x03", 130)])
def test_leaving_works_without_a_server(people: People, door: Door, how: str, keys: str, code: int) -> None:
    door.be(how)
    tim = people.opens("tim", url=door.url)
    tim.see_last("connecting")
    tim.type(keys)
    assert tim.end(GUARD) == code


def test_twenty_seconds_of_stall_under_typing(people: People, server: Server, raw: Raw, tell: Tell) -> None:
    tim, alex = people.opens("tim", columns=WIDE).connected(), people.joins("alex")
    said: list[str] = []
    gaps: list[float] = []
    with server.stopped_in_its_tracks():
        begun = time.monotonic()
        while time.monotonic() < begun + 20:
            said.append(f"line{len(said)}")
            for key in said[-1]:
                gaps.append(tim.echo_time(key, deadline=HANG))
                time.sleep(max(0.0, 0.1 - gaps[-1]))  # a person's pace, nothing waits for this
            tim.enter("")
            tim.see_typed("tim> ")
        tim.see_last("waiting")
        tim.see_last("the server does not answer")
        tim.see_last(f"{len(said)} pending")
    begun = time.monotonic()
    for terminal in (tim, alex):
        terminal.see(f"tim: {said[-1]}")
    tell(
        f"server stopped for 20 s: {len(gaps)} keys, the longest {max(gaps) * 1000:.0f} ms to its echo; "
        f"{len(said)} lines sent {time.monotonic() - begun:.1f} s after it went on"
    )
    for terminal in (tim, alex):
        lines = [line.partition("tim: ")[2].partition(" (typed")[0] for line in terminal.lines() if "tim: " in line]
        assert lines == said
    assert lines_of(raw, "tim") == said
    tim.connected()
    assert "pending" not in tim.lines()[-1]


def test_the_embedded_server_dies_comes_back_empty_and_is_stopped(own_server: Server, stream: str) -> None:
    env = {**own_server.env, "STREAMCLI_STREAM": stream}
    chats = [Terminal([*STREAMCLI, "--id", name], env, columns=WIDE) for name in ("tim", "alex")]
    with chats[0] as tim, chats[1] as alex:
        tim.connected()
        alex.connected()
        tim.enter("in the first log")
        alex.see("tim: in the first log")
        os.kill(workers_of(tim.pid)["read_worker"], signal.SIGSTOP)
        tim.enter("acknowledged, not read back")
        alex.see("tim: acknowledged, not read back")
        with nobody_starts_a_server(env):
            own_server.kill()
            tim.enter("while it is away")
            tim.see_last("ended unexpectedly")
            tim.enter("still away")
            tim.see_last("3 pending")
        again = start_server(own_server.env)
        for terminal in (tim, alex):
            terminal.see("This is another log than before")
            terminal.see("tim: still away")
            assert terminal.count("tim: while it is away") == 1
            assert terminal.count("tim: in the first log") == 1
            terminal.see("tim: acknowledged, not read back", times=2 if terminal is alex else 1)
        tim.wait(lambda: "pending" not in tim.lines()[-1], "nothing pending")
        alex.enter("from the other one")
        tim.see("alex: from the other one")
        with Raw(again.url, stream) as raw:
            said = [message["message"] for message in raw.messages()]
        assert sorted(said[:3]) == ["acknowledged, not read back", "still away", "while it is away"]
        assert said.index("while it is away") < said.index("still away")
        assert said[3:] == ["from the other one"]
        again.stop()
        for terminal in (tim, alex):
            terminal.see_last("stopped on purpose")
        tim.enter("not sent")
        tim.see_last("1 pending")
        tim.type("\x04")
        assert tim.end(GUARD) == 0
        tim.see(f"Not sent yet: “not sent”. The next start with the embedded server, scope/{stream} sends it.")
        alex.type("\x04")
        assert alex.end(GUARD) == 0
    assert not psutil.pid_exists(again.pid)
    status = subprocess.run([*STREAMCLI, "server", "status"], env=env, capture_output=True, text=True, timeout=30)
    assert status.returncode == 3, status.stdout


def test_a_prompt_opens_while_the_embedded_server_is_away(own_server: Server, stream: str) -> None:
    env = {**own_server.env, "STREAMCLI_STREAM": stream}
    command = [*STREAMCLI, "--id", "tim"]
    with own_server.stopped_in_its_tracks(), Terminal(command, env, columns=WIDE) as tim:
        tim.see_last("does not answer", deadline=GUARD)
        tim.enter("it stands still")
        tim.see_last("1 pending")
        tim.type("\x04")
        assert tim.end(GUARD) == 0
    own_server.kill()
    with Terminal(command, env, columns=WIDE) as tim:
        with nobody_starts_a_server(env):
            tim.see_last("ended unexpectedly", deadline=GUARD)
            tim.enter("it is gone")
        tim.connected()
        tim.see("tim: it is gone")
        assert tim.count("tim: it stands still") == 1


def test_a_first_chat_opens_while_its_server_still_starts(tmp_path: Path) -> None:
    env = make_home(tmp_path)
    soon = ["--timeout", "0.2", "--id", "tim"]
    try:
        done = subprocess.run([*STREAMCLI, "send", *soon, "hello"], env=env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr.count("0 messages are in the log.")) == (69, 1)
        done = subprocess.run([*STREAMCLI, *soon], env=env, input="hi\n", capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr.count("Nothing was read or sent.")) == (69, 1)
        subprocess.run([*STREAMCLI, "server", "stop"], env=env, capture_output=True, timeout=60, check=True)
        with Terminal([*STREAMCLI, *soon], env, columns=WIDE) as tim:
            tim.see("starting Java")
            tim.see_last("connecting")
            tim.enter("hello")
            tim.see("tim: hello")
    finally:
        subprocess.run([*STREAMCLI, "server", "stop"], env=env, capture_output=True, timeout=60, check=True)


# Without a terminal.


def plain(people: People, url: str, *options: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*STREAMCLI, url, "tim", *options],
        env=env or people.env("tim"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_pipe_is_sent_read_back_and_ends(people: People, raw: Raw) -> None:
    raw.say("alex", "was here")
    tim = plain(people, people.url)
    said = [f"line {number}." for number in range(2000)]
    out, err = tim.communicate("\n".join(said), timeout=60)
    assert tim.returncode == 0, err
    # What was in the log before the reader had caught up is shown as to any newcomer: the last fifty of it.
    shown = [line.partition("tim: ")[2] for line in out.splitlines() if "tim: " in line]
    assert shown == said[-len(shown) :]
    assert len(shown) >= 50
    assert lines_of(raw, "tim") == said


def test_a_pipe_without_a_server_gives_up_with_one_line(people: People, door: Door) -> None:
    begun = time.monotonic()
    tim = plain(people, door.url, "--timeout", "2")
    out, err = tim.communicate("hi\n", timeout=30)
    assert time.monotonic() - begun >= 2
    assert (tim.returncode, out, len(err.splitlines())) == (69, "", 1), err
    place = f"{door.url}, scope/{people.stream}"
    assert err.startswith(f"streamcli: Not sent yet: “hi”. The next start with {place} sends it. Still connecting")
    assert "nobody listens on that port" in err


def _unread(pipe: IO[str]) -> int:
    """How many bytes stand in the pipe."""
    return int.from_bytes(fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("how", ["silent", "open"])
def test_a_pipe_leaves_at_sigterm(people: People, door: Door, tell: Tell, how: str) -> None:
    door.be(how)
    tim = plain(people, door.url)
    assert tim.stdin and tim.stdout and tim.stderr
    if how == "open":
        tim.stdin.write("hi\n")
        tim.stdin.flush()
        heard = select.select([tim.stdout], [], [], DEADLINE)[0]
        logs = (people.folder / "tim/.local/state/streamcli/log").glob("*.log")
        assert heard, "\n".join(log.read_text() for log in logs)
        assert tim.stdout.readline().endswith("tim: hi\n")
    else:
        assert "does not answer" in tim.stderr.readline()
        tim.stdin.write("hi\n")
        tim.stdin.flush()
        written = tim.stdin
        eventually(lambda: _unread(written) == 0)
    workers = workers_of(tim.pid).values()
    begun = time.perf_counter()
    os.kill(tim.pid, signal.SIGTERM)
    assert tim.wait(GUARD) == (0 if how == "open" else 69)
    tell(f"a pipe left at SIGTERM in {time.perf_counter() - begun:.3f} s, server {how}")
    assert not any(map(psutil.pid_exists, workers))
    tim.communicate()
