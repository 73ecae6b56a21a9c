"""Starting, stopping and recognising the server where what counts is our side; no Pravega runs here."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from streamcli.cli import server
from streamcli.errors import Unreachable, Unusable, UsageError
from streamcli.server import (
    Ports,
    Quiet,
    ServerOptions,
    State,
    caveat,
    current_url,
    ensure_running,
    state,
    status,
    stop,
)
from streamcli.system.clock import SYSTEM
from tests.server.conftest import Heard, until

FakeServer = Callable[[str], Path]


def test_never_started(home: Path) -> None:
    assert status().state is State.ABSENT
    assert current_url() is None
    assert stop(1) is False
    assert not home.exists()


def test_a_pid_that_another_program_has_now_is_not_the_server(home: Path) -> None:
    home.mkdir(parents=True)
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        created = psutil.Process(stranger.pid).create_time()
        state.write(state.Record(state.RUNNING, stranger.pid, created - 60, Ports(), time.time()))
        assert status().state is State.CRASHED
        assert stop(1) is False
        assert stranger.poll() is None
        assert status().state is State.STOPPED
    finally:
        stranger.communicate(b"\n")


def test_our_server_is_known_after_the_clock_was_set(home: Path, fake_server: FakeServer) -> None:
    fake_server("serve()")
    ensure_running(Quiet(), 30)
    record = state.read()
    assert record
    state.write(replace(record, created=record.created - 3600))
    assert status().state is State.RUNNING


@pytest.mark.parametrize("content", ["", "{", "[]", '{"phase": "running"}', '{"phase":"running","pid":"x"}'])
def test_a_broken_state_file_is_as_none(home: Path, content: str) -> None:
    home.mkdir(parents=True)
    (home / "state.json").write_text(content)
    assert status().state is State.ABSENT


@pytest.mark.parametrize(
    ("field", "value", "known"),
    [
        ("pid", -1, State.CRASHED),
        ("pid", 2**70, State.CRASHED),
        ("pid", "1", State.CRASHED),
        ("created", None, State.ABSENT),
    ],
)
def test_a_state_file_with_nonsense_is_no_crash(home: Path, field: str, value: object, known: State) -> None:
    home.mkdir(parents=True)
    state.write(state.Record(state.RUNNING, 1, 1.0, Ports(), 1.0))
    content = json.loads((home / "state.json").read_text())
    (home / "state.json").write_text(json.dumps({**content, field: value}))
    assert status().state is known


def test_a_server_that_ends_at_once_is_said_with_its_last_words(home: Path, fake_server: FakeServer) -> None:
    fake_server("sys.exit('Error: Could not find it')")
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"ended while it started with .*Could not find.*log:"):
        ensure_running(Quiet(), 30)
    assert time.monotonic() - begun < 10
    assert status().state is State.CRASHED


def test_a_port_taken_in_between_means_other_ports_once(home: Path, fake_server: FakeServer, heard: Heard) -> None:
    starts = fake_server("if first:\n    print('Address already in use', flush=True)\n    time.sleep(60)\nserve()")
    url = ensure_running(heard, 30)
    assert starts.read_text() == "xx"
    assert "another program took one of the ports, trying others" in heard.stages
    assert status().state is State.RUNNING
    assert url == current_url()


def test_a_port_taken_again_and_again_is_said(home: Path, fake_server: FakeServer) -> None:
    starts = fake_server("print('Address already in use', flush=True)\ntime.sleep(60)")
    with pytest.raises(Unreachable, match="taking"):
        ensure_running(Quiet(), 30)
    assert starts.read_text() == "xxx"


def test_not_ready_in_time_goes_on_and_is_found_by_the_next(
    home: Path, fake_server: FakeServer, tmp_path: Path
) -> None:
    starts = fake_server(f"while not os.path.exists({str(tmp_path / 'go')!r}):\n    time.sleep(0.01)\nserve()")
    with pytest.raises(Unreachable, match=r"not ready after 0\.2 s"):
        ensure_running(Quiet(), 0.2)
    assert status().state is State.STARTING
    later = threading.Timer(0.5, (tmp_path / "go").touch)
    later.start()
    ensure_running(Quiet(), 30)
    later.join()
    assert starts.read_text() == "x"
    assert status().state is State.RUNNING


def test_one_that_ignores_the_signal_is_ended_by_force(home: Path, fake_server: FakeServer) -> None:
    fake_server("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nserve()")
    ensure_running(Quiet(), 30)
    pid = status().pid
    assert pid is not None
    assert stop(0.3) is True
    assert until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert status().state is State.STOPPED


def test_one_that_lives_but_is_silent_is_said(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server(
        "import socket, threading\nthreading.Thread(target=serve, daemon=True).start()\n"
        f"while not os.path.exists({str(tmp_path / 'go')!r}):\n    time.sleep(0.01)\n"
        "Handler.do_GET = lambda self: time.sleep(60)\ntime.sleep(60)"
    )
    ensure_running(Quiet(), 30)
    (tmp_path / "go").touch()
    assert until(lambda: status(patience=0.1).state is State.UNRESPONSIVE)
    with pytest.raises(Unreachable, match="not ready"):
        ensure_running(Quiet(), 0.2)
    out = io.StringIO()
    assert server.run("status", 1, out, io.StringIO()) == 3
    assert "does not answer" in out.getvalue()
    assert "server stop" in out.getvalue()


def test_an_interrupted_fetch_is_no_server(home: Path) -> None:
    home.mkdir(parents=True)
    me = psutil.Process()
    state.write(state.Record(state.FETCHING, me.pid, me.create_time(), Ports(), time.time()))
    assert status().state is State.STARTING
    assert stop(1) is False
    state.write(state.Record(state.FETCHING, me.pid, 1.0, Ports(), time.time()))
    assert status().state is State.ABSENT


def test_a_java_that_is_not_there_is_said(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wrong in (tmp_path / "none", tmp_path):
        monkeypatch.setenv("STREAMCLI_JAVA", str(wrong))
        with pytest.raises(Unusable, match="STREAMCLI_JAVA"):
            ensure_running(Quiet(), 1)
        assert status().state is State.ABSENT


def test_the_commands_of_a_server_that_never_ran(home: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    assert server.run("status", 1, out, err) == 3
    assert server.run("stop", 1, out, err) == 0
    assert server.run("logs", 1, out, err) == 0
    assert out.getvalue().splitlines() == [
        "The embedded server was never started here. `streamcli server start` starts it.",
        "The embedded server was not running. The embedded server was never started here.",
        f"There is no log yet; it would be {home}/log/server.log",
    ]
    with pytest.raises(UsageError, match="restart"):
        server.run("restart", 1, out, err)


def test_the_log_command_gives_the_end(home: Path) -> None:
    state.log_path().parent.mkdir(parents=True)
    state.log_path().write_text("".join(f"line {n}\n" for n in range(500)))
    out = io.StringIO()
    server.run("logs", 1, out, io.StringIO())
    assert out.getvalue().splitlines() == [f"line {n}" for n in range(400, 500)]


def test_the_time_since_a_start_is_told(home: Path, fake_server: FakeServer) -> None:
    fake_server("serve()")
    clock, out = replace(SYSTEM, time_ns=lambda: 10**18), io.StringIO()
    ensure_running(Quiet(), 30, clock=clock)
    later = replace(clock, time_ns=lambda: 10**18 + 7500 * 10**9)
    assert server.run("status", 1, out, io.StringIO(), clock=later) == 0
    assert "  up             2 h 5 min\n" in out.getvalue()


def test_a_server_ending_does_not_hold_the_signal_of_a_terminal(home: Path, fake_server: FakeServer) -> None:
    fake_server("serve()")
    ensure_running(Quiet(), 30)
    pid = status().pid
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)
    os.kill(pid, signal.SIGINT)
    assert status().state is State.RUNNING


def test_one_that_gives_up_late_is_started_once_more(home: Path, fake_server: FakeServer, heard: Heard) -> None:
    starts = fake_server("sys.exit('Error: lost') if first else serve()")
    times = itertools.count(10**18, 2 * 10**9)  # two seconds have passed whenever somebody asks
    ensure_running(heard, 30, clock=replace(SYSTEM, time_ns=lambda: next(times)))
    assert starts.read_text() == "xx"
    assert "a part of the server gave up, starting it once more" in heard.stages


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ServerOptions(), ""),
        (ServerOptions(data="/somewhere"), ""),
        (ServerOptions(durable=False), "Messages are kept in memory only and are lost when the server ends."),
        (ServerOptions(auth=False), "The server asks for no password: every user of this machine can read and write."),
    ],
)
def test_whoever_chats_is_told_of_options_that_can_cost_something(
    home: Path, options: ServerOptions, said: str
) -> None:
    assert caveat() == ""
    home.mkdir(parents=True)
    state.write(state.Record(state.RUNNING, 1, 1.0, Ports(), 1.0, options))
    assert caveat() == said
    state.write(state.Record(state.RUNNING, 1, 1.0, Ports(), 1.0, ServerOptions(durable=False, auth=False)))
    assert caveat().count(".") == 2
