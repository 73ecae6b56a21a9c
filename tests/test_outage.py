"""When the server is not there, stalls, dies or is stopped: the prompt lives on, nothing typed is lost or doubled."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import People, Server, Tell, eventually, nobody_starts_a_server, start_server, waiting_in
from tests.environment import STREAMCLI, make_home, workers_of
from tests.raw import Raw
from tests.terminal import DEADLINE, Terminal
from torture.fault_proxy import FaultProxies, FaultProxy

GUARD = 3.0  # seconds for what is promised within one, on a machine on which much else is going on
WIDE = 200  # columns, so that the status line shows all it has to say
HANG = 1.0  # seconds between a key and its echo


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultProxy]:
    """A port at which nobody listens, until it is opened: then it leads to the real controller."""
    port = int(server.url.rpartition(":")[2])
    proxies = FaultProxies(lambda: port, lambda: None, closed=True)
    yield proxies.controller
    proxies.close()


def be(proxy: FaultProxy, how: str) -> None:
    """Make the port closed (as it is at first), silent, strange or open."""
    if how == "closed":
        return
    proxy.hole(how == "silent")
    proxy.greet(b"220 mail.example ESMTP\r\n" if how == "strange" else b"")
    proxy.open()


def lines_of(raw: Raw, sender: str) -> list[str]:
    """What ``sender`` has in the log, doubles and all."""
    return [message["message"] for message in raw.messages() if message["sender"] == sender]


WORDS = {"closed": "nobody listens", "silent": "does not answer", "strange": "is no Pravega controller"}


@pytest.mark.parametrize("how", WORDS)
def test_without_a_server_the_prompt_lives_and_the_chat_comes_with_it(
    people: People, raw: Raw, proxy: FaultProxy, tell: Tell, how: str
) -> None:
    be(proxy, how)
    begun = time.perf_counter()
    tim = people.opens("tim", url=proxy.url, columns=WIDE)
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
    be(proxy, "open")
    tim.connected()
    tim.see("tim: typed meanwhile 19.")
    tim.wait(lambda: "pending" not in tim.lines()[-1], "nothing pending")
    assert lines_of(raw, "tim") == said
    assert [line.partition("tim: ")[2].partition(" (typed")[0] for line in tim.lines() if "tim: " in line] == said


@pytest.mark.parametrize(("how", "keys", "code"), [("closed", "\x04", 0), ("silent", "\x03\x03", 130)])
def test_leaving_works_without_a_server(people: People, proxy: FaultProxy, how: str, keys: str, code: int) -> None:
    be(proxy, how)
    tim = people.opens("tim", url=proxy.url)
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
        terminal.see("-- connected again after ")
        assert [terminal.count(text) for text in ("-- waiting, ", "-- connected again after ")] == [1, 1]
    assert lines_of(raw, "tim") == said
    tim.connected()
    assert "pending" not in tim.lines()[-1]


def test_the_embedded_server_dies_comes_back_empty_and_is_stopped(own_server: Server, stream: str) -> None:
    env = {**own_server.env, "STREAMCLI_STREAM": stream}
    chats = [Terminal([*STREAMCLI, "--id", name], env, columns=WIDE) for name in ("tim", "alex")]
    with chats[0] as tim, chats[1] as alex:
        tim.connected()
        alex.connected()
        assert tim.count("-- Messages are kept in memory only and are lost when the server ends.") == 1
        assert tim.count("The server asks for no password: every user of this machine can read and write.") == 1
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
        tim.see(f"Not sent yet: “not sent”. The next start with the embedded server, scope/{stream} will send it.")
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


@pytest.mark.real
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


def test_a_pipe_without_a_server_gives_up_with_one_line(people: People, proxy: FaultProxy) -> None:
    begun = time.monotonic()
    tim = plain(people, proxy.url, "--timeout", "2")
    out, err = tim.communicate("hi\n", timeout=30)
    assert time.monotonic() - begun >= 2
    assert (tim.returncode, out, len(err.splitlines())) == (69, "", 1), err
    place = f"{proxy.url}, scope/{people.stream}"
    assert err.startswith(f"streamcli: Not sent yet: “hi”. The next start with {place} will send it. Still connecting")
    assert "nobody listens on that port" in err


@pytest.mark.parametrize("how", ["silent", "open"])
def test_a_pipe_leaves_at_sigterm(people: People, proxy: FaultProxy, tell: Tell, how: str) -> None:
    be(proxy, how)
    tim = plain(people, proxy.url)
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
        eventually(lambda: waiting_in(written) == 0)
    workers = workers_of(tim.pid).values()
    begun = time.perf_counter()
    os.kill(tim.pid, signal.SIGTERM)
    assert tim.wait(GUARD) == (0 if how == "open" else 69)
    tell(f"a pipe left at SIGTERM in {time.perf_counter() - begun:.3f} s, server {how}")
    assert not any(map(psutil.pid_exists, workers))
    tim.communicate()
