"""Where the torture lives: a folder with homes, a durable server of its own behind proxies, and its environments."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from streamcli.server import Status, login, state, status, stop
from tests.environment import STREAMCLI, living_below, make_home, makes_an_archive
from torture.fault_proxy import FaultProxies

PLANT = str(Path(__file__).parent / "plant")
SERVER_HOME = "server"
STREAM = "torture"
PATIENCE = 90.0


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
        self.proxies = FaultProxies(lambda: _port("rpc"), lambda: _port("segment_store"))
        self.env |= {
            "PYTHONPATH": PLANT,
            "STREAMCLI_TORTURE_PROXIES": f"{self.proxies.controller.port},{self.proxies.store.port}",
        }

    def home(self, name: str) -> dict[str, str]:
        """The environment of somebody whose files all lie in a folder of this name, but for the jars."""
        return {**make_home(self.folder / name), "STREAMCLI_STREAM": STREAM}

    def guest(self, name: str) -> dict[str, str]:
        """The environment of somebody who names the server, by its fault proxy, and has its account."""
        account = login()
        assert account, "the server asks for no password"
        return {
            **self.home(name),
            "PYTHONPATH": PLANT,
            "STREAMCLI_URL": self.url,
            "STREAMCLI_ACCOUNT": account.user,
            "STREAMCLI_PASSWORD": account.password,
        }

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

    def kill(self) -> bool:
        """kill -9; whether there was a server."""
        return self.send(signal.SIGKILL)

    def process(self) -> psutil.Process | None:
        """The server's process, if it lives."""
        record = state.read()
        wanted = record is not None and record.phase in (state.STARTING, state.RUNNING)
        return state.process(record) if record and wanted else None

    def send(self, number: int) -> bool:
        """Send the server's process a signal; whether there was one."""
        process = self.process()
        with contextlib.suppress(psutil.NoSuchProcess):
            if process:
                process.send_signal(number)
                return True
        return False

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


def _port(name: str) -> int | None:
    record = state.read()
    if record is None or record.phase not in (state.STARTING, state.RUNNING):
        return None  # while somebody is about to start it, the record names no port that is ours
    return int(getattr(record.ports, name))
