"""An owner with a server of their own, and guests: what the tests of sharing have in common."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.conftest import Server, eventually
from tests.environment import STREAMCLI, make_home
from tests.terminal import Terminal


class Person:
    """Somebody with a home of their own, perhaps on another host."""

    def __init__(
        self,
        name: str,
        env: dict[str, str],
        stack: contextlib.ExitStack,
        prefix: Sequence[str] = (),
        program: Sequence[str] = STREAMCLI,
    ) -> None:
        self.name, self.env = name, env
        self._stack, self._command = stack, [*prefix, *program]

    def runs(self, *arguments: str, text: str = "", within: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*self._command, *arguments], env=self.env, input=text, capture_output=True, text=True, timeout=within
        )

    def does(self, *arguments: str, text: str = "", within: float = 60.0) -> str:
        """Run a command that succeeds, and return what it prints."""
        done = self.runs(*arguments, text=text, within=within)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def opens(self, *arguments: str) -> Terminal:
        """Open a chat in a new terminal."""
        return self._stack.enter_context(Terminal([*self._command, *arguments], self.env))

    def background(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command; its input is a pipe."""
        process = subprocess.Popen(
            [*self._command, *arguments],
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._stack.callback(process.kill)
        return process


class Owner(Person):
    """Whose server and gate it is."""

    def __init__(self, server: Server, stack: contextlib.ExitStack) -> None:
        super().__init__("tim", {**server.env, "STREAMCLI_ID": "tim"}, stack)
        self.server, self.port = server, free_port()

    def invites(self, name: str, *options: str, host: str = "127.0.0.1") -> str:
        """Return the line for somebody who reaches this machine as ``host``."""
        said = self.does("invite", name, "--port", str(self.port), "--host", host, *options)
        found = re.search(r"streamcli join (\S+)", said)
        assert found, said
        return found[1]

    def log(self) -> list[str]:
        """The texts in the log, in its order."""
        lines = self.does("tail", "--no-follow", "--json").splitlines()
        return [json.loads(line)["message"] for line in lines]

    @property
    def state(self) -> Path:
        """The folder with the gate's state."""
        (found,) = Path(self.env["HOME"]).rglob("gate/lock")
        return found.parent

    @property
    def gate(self) -> psutil.Process:
        """The gate's process."""
        return psutil.Process(json.loads((self.state / "state.json").read_text())["pid"])

    def server_is_killed(self) -> None:
        """End the server as a crash would."""
        (state,) = Path(self.env["HOME"]).rglob("server/state.json")
        psutil.Process(json.loads(state.read_text())["pid"]).kill()

    def gate_is_back(self, before: int) -> None:
        """Wait for another gate than the process ``before``."""
        eventually(lambda: self._pid() not in (0, before))

    def _pid(self) -> int:
        with contextlib.suppress(OSError, ValueError, KeyError, psutil.NoSuchProcess):
            process = self.gate
            return process.pid if process.status() != psutil.STATUS_ZOMBIE else 0
        return 0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def newcomer(
    folder: Path, name: str, stack: contextlib.ExitStack, prefix: Sequence[str] = (), program: Sequence[str] = STREAMCLI
) -> Person:
    """Return somebody who has never chatted here."""
    return Person(name, make_home(folder / f"home-of-{name}"), stack, prefix, program)
