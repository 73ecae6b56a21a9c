"""The life of a real server. Each start of Pravega takes seconds, so there are two in this file."""

from __future__ import annotations

import dataclasses
import io
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from streamcli.cli import server
from streamcli.java import archive, jars
from streamcli.java.which import java
from streamcli.server import (
    Quiet,
    ServerOptions,
    State,
    current_url,
    ensure_running,
    probe,
    state,
    status,
    stop,
)
from streamcli.server.state import Ports
from tests.server.conftest import Heard, listening, until

pytestmark = pytest.mark.real
_START = "import sys; from streamcli.cli.server import run; sys.exit(run('start', 60, sys.stdout, sys.stderr))"


def test_two_starts_at_once_one_server_and_its_death(home: Path) -> None:
    programs = [
        subprocess.Popen([sys.executable, "-c", _START], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    # communicate() ends at the end of the pipes: the server must not hold them open.
    said = [program.communicate(timeout=90) for program in programs]
    assert [program.returncode for program in programs] == [0, 0], said
    (url,) = {re.search(r"tcp:\S+(?=,)", out)[0] for out, _ in said}  # type: ignore[index]
    stages = "".join(err for _, err in said)
    # Once more for each time that another program took a port between our look at it and the server's.
    assert stages.count("starting Java") == 1 + stages.count("trying others") + stages.count("once more")
    assert stages.count("ready at") == 1

    now = status()
    assert (now.state, now.url, current_url()) == (State.RUNNING, url, url)
    assert now.pid and now.ports
    commands = {p.pid: " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])}
    # Beside the server only what makes the archive of its classes, if this Java has none yet.
    assert [pid for pid, line in commands.items() if str(home) in line and "-Xshare:dump" not in line] == [now.pid]
    assert psutil.Process(now.pid).cwd() == str(home)
    at = listening(now.pid)
    assert set(at) == {*vars(now.ports).values()}
    assert set(at.values()) == {"127.0.0.1"}
    assert not list(Path("/tmp").glob(f"hsperfdata*/{now.pid}"))

    assert status().state is State.RUNNING
    psutil.Process(now.pid).suspend()
    assert until(lambda: psutil.Process(now.pid).status() == psutil.STATUS_STOPPED)
    assert status().state is State.UNRESPONSIVE
    psutil.Process(now.pid).resume()
    assert until(lambda: status().state is State.RUNNING)

    psutil.Process(now.pid).send_signal(signal.SIGKILL)
    assert until(lambda: status().state is State.CRASHED)
    out = io.StringIO()
    assert server.run("status", 1, out, io.StringIO()) == 3
    assert "ended unexpectedly" in out.getvalue()
    server.run("stop", 1, out, io.StringIO())
    assert "was not running" in out.getvalue()


@pytest.mark.timeout(600)  # with a cold cache the archive of the classes is made first
def test_a_stranger_on_the_usual_port_and_a_stop_that_is_respected(
    home: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = archive.archive_path(java(), jars.ensure_jars(Quiet()))
    if not cached.exists():  # a start has it made in the background
        ensure_running(Quiet(), 100, ServerOptions(durable=False, auth=False))
        stop(10)
        assert until(cached.exists, 400)
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        # A port of our own is the usual one here: others on this machine may take 9090 or give it back at any time.
        usual = stranger.getsockname()[1]
        monkeypatch.setattr(Ports.__init__, "__defaults__", (usual, *Ports.__init__.__defaults__[1:]))  # type: ignore[index]
        url = ensure_running(heard, 60, ServerOptions())
    assert not url.endswith(f":{usual}")
    assert heard.stages[0] == "starting Java"
    assert str(usual) in heard.stages[1] and "taken by other programs" in heard.stages[1]
    assert heard.stages[-1] == f"ready at {url}"
    out = io.StringIO()
    assert server.run("status", 1, out, io.StringIO()) == 0
    assert f"  url            {url}\n" in out.getvalue()
    assert server.run("start", 60, out, io.StringIO()) == 0
    assert f"is already running at {url}" in out.getvalue()
    pid = status().pid
    assert pid
    assert any(m.path == str(cached.resolve()) for m in psutil.Process(pid).memory_maps())

    assert server.run("stop", 10, out, io.StringIO()) == 0
    assert "is stopped" in out.getvalue()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert status().state is State.STOPPED
    assert current_url() is None
    assert not (home / "tmp").exists()
    logs = {p.name for p in (home / "log").iterdir()}
    assert logs - {"server.log.1"} == {"console.log", "server.log"}  # .1 if a port was taken meanwhile, by anyone
    assert state.console_path().read_text() == "segmentstore.properties\n"  # Pravega has to say that


def test_a_strangers_zookeeper_is_not_taken_for_ours(home: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []

    class Stranger(socketserver.BaseRequestHandler):
        """Says that it is well, and remembers what else it is told."""

        def handle(self) -> None:
            told.append(self.request.recv(1000))
            self.request.sendall(b"imok")

    free_ports = probe.free_ports
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        taken = stranger.server_address[1]
        monkeypatch.setattr(
            probe,
            "free_ports",
            lambda usual=True: dataclasses.replace(free_ports(usual), **({"zookeeper": taken} if usual else {})),
        )
        ensure_running(heard, 60, ServerOptions(durable=False, auth=False))
        stranger.shutdown()
    assert "another program took one of the ports, trying others" in heard.stages
    assert told and set(told) <= {b"ruok", b""}
    stop(5)
