"""A real sshd on loopback with a key and a configuration of its own, and an `ssh` that knows it under the name home."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from streamcli.server.probe import is_listening
from tests.conftest import eventually

PROGRAM = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
MISSING = PROGRAM is None and not os.environ.get("CI")  # CI must have it
NO_SSHD = "sshd is not installed (openssh-server)"
_RUNS_IN = Path("/run/sshd")  # root's sshd wants it; where there is no such service nobody has made it


class Sshd:
    """An sshd whose sessions have the environment ``env``, and find streamcli and nothing of the tester's own."""

    def __init__(
        self, folder: Path, env: Mapping[str, str], path: str = "", passphrase: str = "", more: str = ""
    ) -> None:
        """``path`` is searched for streamcli in place of the tests' own programs; ``more`` is configuration."""
        folder.mkdir()
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        for name, secret in (("host", ""), ("user", passphrase)):
            self._run("ssh-keygen", "-q", "-t", "ed25519", "-N", secret, "-C", name, "-f", str(folder / name))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        given = {**env, "PATH": f"{path or Path(sys.executable).parent}:/usr/bin:/bin"}
        (folder / "sshd_config").write_text(more + self._of_the_server(given))
        (folder / "ssh_config").write_text(self._of_the_client())
        (folder / "known_hosts").write_text(f"home {(folder / 'host.pub').read_text()}")
        (folder / "bin").mkdir()
        ssh = folder / "bin" / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {shlex.quote(str(folder / "ssh_config"))} "$@"\n')
        ssh.chmod(0o755)
        if os.getuid() == 0:
            _RUNS_IN.mkdir(mode=0o755, exist_ok=True)

    def __enter__(self) -> Sshd:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        assert PROGRAM
        with (self.folder / "sshd.log").open("ab") as log:
            command = [PROGRAM, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(lambda: is_listening(self.port))

    def stop(self) -> None:
        """Listen no more. Connections stay."""
        if self._process:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    @contextlib.contextmanager
    def sessions_stopped(self) -> Iterator[None]:
        """Meanwhile the connections of now are silent, as if the network were dead. They end with it."""
        assert self._process
        sessions = psutil.Process(self._process.pid).children(recursive=True)
        for one in sessions:
            one.suspend()
        try:
            yield
        finally:
            for one in sessions:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()

    def env(self, of: Mapping[str, str]) -> dict[str, str]:
        """The environment of somebody elsewhere, whose ssh knows this machine as home."""
        return {**of, "PATH": f"{self.folder / 'bin'}:{of['PATH']}"}

    def log(self) -> str:
        return (self.folder / "sshd.log").read_text()

    def _of_the_server(self, env: Mapping[str, str]) -> str:
        given = " ".join(f'"{name}={value}"' for name, value in env.items())
        return (
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.folder}/user.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\nSetEnv {given}\n"
        )

    def _of_the_client(self) -> str:
        return (
            f"Host home\nHostName 127.0.0.1\nPort {self.port}\nHostKeyAlias home\nIdentityFile {self.folder}/user\n"
            f"IdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {self.folder}/known_hosts\n"
            f"GlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\nCheckHostIP no\n"
        )

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=30)
