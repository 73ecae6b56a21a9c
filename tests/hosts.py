"""Other hosts on this machine: network namespaces that are joined to it by a cable each, and another Unix user."""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

_NOT_ALLOWED = "network namespaces need root and the program ip"
_OTHER_USER = "nobody"


class Host(NamedTuple):
    """Another host: the command before a program that runs there, its address, and ours as it sees us."""

    name: str
    prefix: list[str]
    address: str
    ours: str

    def pull_the_cable(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        _ip("link", "set", f"{self.name}-a", "down")

    def plug_it_in(self) -> None:
        """What comes goes through again."""
        _ip("link", "set", f"{self.name}-a", "up")


@functools.cache
def _allowed() -> bool:
    if os.geteuid() or not shutil.which("ip"):
        return False
    made = subprocess.run(["ip", "netns", "add", "streamcli-try"], capture_output=True, check=False).returncode == 0
    subprocess.run(["ip", "netns", "delete", "streamcli-try"], capture_output=True, check=False)
    return made


@contextlib.contextmanager
def another_host(number: int) -> Iterator[Host]:
    """Meanwhile there is a host with the address 10.83.``number``.2. Skips the test where that is not allowed."""
    if not _allowed():
        pytest.skip(_NOT_ALLOWED)
    name = f"sc{os.getpid() % 100_000}{number}"
    ours, address = f"10.83.{number}.1", f"10.83.{number}.2"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", f"{name}-a", "type", "veth", "peer", "name", f"{name}-b")
        _ip("link", "set", f"{name}-b", "netns", name)
        _ip("addr", "add", f"{ours}/24", "dev", f"{name}-a")
        _ip("link", "set", f"{name}-a", "up")
        inside = ["ip", "netns", "exec", name]
        for words in (f"addr add {address}/24 dev {name}-b", f"link set {name}-b up", "link set lo up"):
            subprocess.run([*inside, "ip", *words.split()], check=True, capture_output=True)
        yield Host(name, inside, address, ours)
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", f"{name}-a"], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def as_another_user(folder: Path) -> tuple[list[str], str]:
    """Return the command before a program that another Unix user runs, and that user's name; ``folder`` becomes theirs.

    Skips the test where only this user can run programs.
    """
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("running a program as another user needs root and the program setpriv")
    user = pwd.getpwnam(_OTHER_USER)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"], _OTHER_USER
