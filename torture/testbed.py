"""Where the torture lives: a folder with homes, a durable server of its own behind proxies, and its environments."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import psutil

from streamcli.gate.process import STATE
from streamcli.server import Status, login, state, status, stop
from streamcli.system.paths import gate_state_dir
from tests.environment import STREAMCLI, living_below, make_home, makes_an_archive
from torture.fault_proxy import FaultProxies

PLANT = str(Path(__file__).parent / "plant")
SERVER_HOME = "server"
STREAM = "torture"
OWNER = "tim"  # whose server it is: so guests call the chat
PATIENCE = 90.0
_FIRST_PORT = 20_000  # of the gate's: below those that the system gives to connections while the gate is dead
_PORTS = 10_000


class Testbed:
    """A folder, the server in it, and the proxies before the server."""

    def __init__(self, folder: Path) -> None:
        """This process takes the server's home for its own, so that it can look at the server as its user can."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.env = self.home(SERVER_HOME)
        for name in ("HOME", "XDG_CACHE_HOME"):
            os.environ[name] = self.env[name]
        for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            os.environ.pop(name, None)
        self._gate_port = _free_port()
        self.proxies = FaultProxies(lambda: _port("rpc"), lambda: _port("segment_store"), lambda: self._gate_port)
        ports = (self.proxies.controller.port, self.proxies.store.port, self.proxies.gate.port)
        self.env |= {"PYTHONPATH": PLANT, "STREAMCLI_TORTURE_PROXIES": ",".join(map(str, ports))}

    def home(self, name: str) -> dict[str, str]:
        """The environment of somebody whose files all lie in a folder of this name, but for the jars."""
        return {**make_home(self.folder / name), "STREAMCLI_STREAM": STREAM}

    def by_url(self, name: str) -> dict[str, str]:
        """The environment of an owner who names the server, by its fault proxy, and has its account."""
        account = login()
        assert account, "the server asks for no password"
        return {
            **self.home(name),
            "PYTHONPATH": PLANT,
            "STREAMCLI_URL": self.url,
            "STREAMCLI_ACCOUNT": account.user,
            "STREAMCLI_PASSWORD": account.password,
        }

    def guest(self, name: str) -> dict[str, str]:
        """Invite ``name`` and join with the line that is printed, through the gate's fault proxy; the environment."""
        arguments = ["--id", OWNER, "--port", str(self._gate_port), "--host", "127.0.0.1"]
        said = self._run(["invite", *arguments, name], self.env)
        line = re.search(r"streamcli join (\S+)", said)
        assert line, said
        env = {**make_home(self.folder / name), "PYTHONPATH": PLANT}
        self._run(["join", "--at", f"127.0.0.1:{self.proxies.gate.port}", line[1]], env)
        return env

    def ways_past_the_proxy(self, name: str) -> list[tuple[str, int]]:
        """The places other than the gate's fault proxy at which the guest ``name`` would look for the gate."""
        ours = ("127.0.0.1", self.proxies.gate.port)
        (path,) = (self.folder / name).rglob("_chats/*/joined.json")
        places = [(str(host), int(port)) for host, port in json.loads(path.read_text())["places"]]
        return [place for place in places if place != ours]

    def _run(self, arguments: list[str], env: dict[str, str]) -> str:
        done = subprocess.run([*STREAMCLI, *arguments], env=env, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def url(self) -> str:
        """The controller's proxy."""
        return self.proxies.controller.url

    def start(self, timeout: float = PATIENCE) -> bool:
        """`streamcli server start`; whether it is ready."""
        command = [*STREAMCLI, "server", "start", "--timeout", f"{timeout:g}"]
        with (self.folder / "server-start.log").open("ab") as log:
            return subprocess.run(command, env=self.env, stdout=log, stderr=log, timeout=timeout + 300).returncode == 0

    def status(self) -> Status:
        """How the server is, in a few ms."""
        return status(0.2)

    def process(self) -> psutil.Process | None:
        """The server's process, if it lives."""
        record = state.read()
        wanted = record is not None and record.phase in (state.STARTING, state.RUNNING)
        return state.process(record) if record and wanted else None

    def gate(self) -> psutil.Process | None:
        """The gate's process, if it lives and listens."""
        with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
            told = json.loads((gate_state_dir() / STATE).read_bytes())
            process = psutil.Process(told["pid"])
            if "port" in told and process.cmdline()[-1:] == ["streamcli.gate"]:
                return process
        return None

    def stop(self) -> None:
        """End all that runs in this testbed."""
        with contextlib.suppress(Exception):
            stop(10)
        self.proxies.close()
        end = time.monotonic() + PATIENCE
        for process in living_below(self.folder):
            with contextlib.suppress(psutil.Error):
                if makes_an_archive(process):
                    process.wait(max(0.0, end - time.monotonic()))
                else:
                    process.kill()


def _free_port() -> int:
    first = os.getpid() % _PORTS
    for number in range(_PORTS):
        with contextlib.suppress(OSError), socket.create_server(("", _FIRST_PORT + (first + number) % _PORTS)) as free:
            return int(free.getsockname()[1])
    raise SystemExit("no port is free for the gate")


def _port(name: str) -> int | None:
    record = state.read()
    if record is None or record.phase not in (state.STARTING, state.RUNNING):
        return None  # while somebody is about to start it, the record names no port that is ours
    return int(getattr(record.ports, name))
