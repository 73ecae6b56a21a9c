"""Chatting over a real ssh with a real server: from the owner's second machine, which here is another home."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Server, eventually, start_server
from tests.environment import STREAMCLI, living_below, make_home, workers_of
from tests.sshd import MISSING, NO_SSHD, Sshd
from tests.terminal import Terminal

pytestmark = [pytest.mark.real, pytest.mark.skipif(MISSING, reason=NO_SSHD)]
URL = "ssh://home"
WIDE = 200


@dataclass
class Machines:
    """The owner's machine with its server and its sshd, and the other one, from which it is reached."""

    server: Server
    sshd: Sshd
    away: dict[str, str]
    home: Path

    def run(self, *command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run the program on the other machine, without a terminal."""
        done = subprocess.run(
            [*STREAMCLI, *command, "--url", URL, "--id", "tim"],
            env=self.away,
            input=typed,
            capture_output=True,
            text=True,
            timeout=100,
            start_new_session=True,
        )
        assert "Traceback" not in done.stderr
        return done

    def opens(self) -> Terminal:
        return Terminal([*STREAMCLI, URL, "tim"], self.away, columns=WIDE)

    def ports(self) -> set[int]:
        """The ports that clients of the server use."""
        (file,) = self.home.rglob("state.json")
        ports = json.loads(file.read_text())["ports"]
        return {ports["rpc"], ports["segment_store"]}

    def password(self) -> str:
        (file,) = self.home.rglob("credentials.json")
        return str(json.loads(file.read_text())["password"])


@contextlib.contextmanager
def around(server: Server, folder: Path, stream: str) -> Iterator[Machines]:
    """The owner's machine is that of ``server``; everybody uses ``stream``."""
    (folder / "away").mkdir()
    with Sshd(folder / "sshd", server.env) as sshd:
        away = sshd.env(make_home(folder / "away")) | {"STREAMCLI_STREAM": stream}
        yield Machines(server, sshd, away, Path(server.env["HOME"]))


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a password that the tests share and leave running."""
    server = start_server(make_home(tmp_path_factory.mktemp("home")), "--in-memory")
    yield server
    server.stop()


@pytest.fixture
def machines(at_home: Server, tmp_path: Path, stream: str) -> Iterator[Machines]:
    with around(at_home, tmp_path, stream) as machines:
        yield machines


@pytest.fixture
def own_machines(tmp_path: Path, stream: str) -> Iterator[Machines]:
    """With a server for one test alone, to be stopped."""
    server = start_server(make_home(tmp_path / "home"), "--in-memory")
    try:
        with around(server, tmp_path, stream) as machines:
            yield machines
    finally:
        server.stop()


def ssh_of(terminal: Terminal) -> psutil.Process:
    (found,) = [child for child in psutil.Process(terminal.pid).children() if child.name() == "ssh"]
    return found


def connections_of(terminal: Terminal) -> list[Any]:
    """The connections of a chat's workers to a server: controller and segment store, for each direction."""
    found = [
        one
        for pid in set(workers_of(terminal.pid).values())
        for one in psutil.Process(pid).net_connections("tcp")
        if one.status == psutil.CONN_ESTABLISHED
    ]
    assert len(found) >= 3
    return found


def test_two_machines_chat_and_a_lost_connection_comes_back(machines: Machines, stream: str) -> None:
    with (
        machines.opens() as tim,
        Terminal([*STREAMCLI, "--id", "alex", "--stream", stream], machines.server.env, columns=WIDE) as alex,
    ):
        alex.connected()
        tim.see_last(f"connected to ssh://home, scope/{stream}")
        tim.enter("hello from afar")
        alex.see("tim: hello from afar")
        alex.enter("hello back")
        tim.see("alex: hello back")

        # Here the server's own ports could be reached as well, so that nobody would notice a detour that is missed.
        assert {one.raddr.port for one in connections_of(tim)}.isdisjoint(machines.ports())
        secret = machines.password()
        shown = [
            text
            for home in (machines.home, Path(machines.away["HOME"]))
            for process in living_below(home)
            for text in (" ".join(process.info["cmdline"] or ()), str(process.info["environ"]))
        ]
        files = [path.read_bytes() for path in Path(machines.away["HOME"]).rglob("*") if path.is_file()]
        assert len(shown) >= 4 and len(files) > 3
        assert not any(secret in text for text in shown)
        assert not any(secret.encode() in content for content in files)

        machines.sshd.stop()
        ssh_of(tim).kill()
        alex.enter("said meanwhile")
        tim.see_last("ssh to home: connect to host 127.0.0.1 port")
        tim.enter("typed meanwhile")
        tim.see_last("1 pending")
        machines.sshd.start()
        alex.see("tim: typed meanwhile")
        tim.see("alex: said meanwhile")
        tim.see_last("connected to")
        tim.type("\x04")
        assert tim.end() == 0
    known = next(Path(machines.away["HOME"]).rglob("addresses.json")).read_text()
    assert list(json.loads(known)) == [f"ssh://home scope/{stream}"]
    eventually(lambda: not [one for one in living_below(Path(machines.away["HOME"])) if one.name() == "ssh"], 5)


def test_a_server_that_comes_back_on_other_ports_is_found(own_machines: Machines) -> None:
    with own_machines.opens() as tim:
        tim.connected()
        own_machines.server.stop()
        tim.see_last("home: The embedded server was stopped on purpose.")
        with socket.create_server(("127.0.0.1", int(own_machines.server.url.rpartition(":")[2]))):
            own_machines.server = start_server(own_machines.server.env, "--in-memory")
        tim.see_last("connected to")
        tim.enter("here again")
        tim.see("tim: here again")


def test_a_passphrase_is_asked_for_before_the_prompt_and_ctrl_c_leaves_there(
    machines: Machines, tmp_path: Path
) -> None:
    with Sshd(tmp_path / "locked", machines.server.env, passphrase="open sesame") as sshd:
        env = sshd.env(machines.away)
        with Terminal([*STREAMCLI, URL, "tim"], env, columns=WIDE) as tim:
            tim.see("Enter passphrase for key")
            tim.enter("wrong")
            tim.see("Enter passphrase for key", times=2)
            tim.enter("open sesame")
            tim.see_last("connected to ssh://home")
            assert tim.count("sesame") == 0
            for one in (signal.SIGINT, signal.SIGTSTP, signal.SIGHUP):  # for the chat, not for its ssh
                ssh_of(tim).send_signal(one)
            tim.enter("hello")
            tim.see("tim: hello")
            ssh_of(tim).kill()
            tim.see_last("Permission denied (publickey); to be asked for a password, start streamcli again")
            tim.type("\x04")
            assert tim.end() == 0
        with Terminal([*STREAMCLI, URL, "tim"], env, columns=WIDE) as tim:
            tim.see("Enter passphrase for key")
            tim.type("\x03")
            assert tim.end(10) == 130
            assert tim.lines()[-1] == "streamcli: Interrupted."


def test_commands_work_over_ssh_and_end_with_their_ssh(machines: Machines) -> None:
    assert machines.run("send", typed="one\ntwo\n").returncode == 0
    assert machines.run("send", "three").stderr == ""
    assert machines.run("tail", "--no-follow", "--last", "2").stdout.endswith("tim: three\n")
    assert machines.run("history").stdout.count("tim: ") == 3
    checked = machines.run("doctor")
    assert checked.returncode == 0, checked.stdout
    assert ", over ssh://home\n" in checked.stdout and "ok    round trip" in checked.stdout
    machines.sshd.stop()
    offline = machines.run("search", "two")
    assert offline.returncode == 0 and "tim: two" in offline.stdout
    assert "ssh to home: connect to host" in offline.stderr
    checked = machines.run("doctor")
    assert checked.returncode == 69 and "FAIL  server        ssh to home: connect to host" in checked.stdout


def test_ctrl_c_ends_tail_and_leaves_no_ssh(machines: Machines) -> None:
    assert machines.run("send", "hello").returncode == 0
    with Terminal([*STREAMCLI, "tail", "--url", URL], machines.away) as tail:
        tail.see("tim: hello")
        ssh = ssh_of(tail)
        tail.type("\x03")
        assert tail.end() == 130
    eventually(lambda: not ssh.is_running(), 5)


def accesses(machines: Machines) -> list[psutil.Process]:
    """The programs that ssh runs on the owner's machine."""
    return [one for one in living_below(machines.home) if "access" in (one.info["cmdline"] or ())]


def test_a_program_that_is_killed_leaves_neither_ssh_nor_access(machines: Machines) -> None:
    with machines.opens() as tim:
        tim.connected()
        ssh = ssh_of(tim)
        eventually(lambda: len(accesses(machines)) == 1)  # that of another test may just be ending
        (there,) = accesses(machines)
        os.kill(tim.pid, signal.SIGKILL)
        eventually(lambda: not ssh.is_running() and not there.is_running(), 10)


def test_send_starts_the_server_there_and_tail_does_not(own_machines: Machines) -> None:
    own_machines.server.stop()
    refused = own_machines.run("tail", "--no-follow")
    assert refused.returncode == 69
    assert "home: The embedded server was stopped on purpose. `streamcli server start` starts it." in refused.stderr
    started = own_machines.run("send", "hello")
    assert (started.returncode, started.stderr) == (0, "")
    assert own_machines.run("tail", "--no-follow").stdout.endswith("tim: hello\n")
