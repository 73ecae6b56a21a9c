"""A client of the log in a process of its own, which obeys lines of JSON: the test's side, and the program's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from streamcli.model.address import Login

_ROOT = Path(__file__).parent.parent
_USER, _PASSWORD = "pravega_client_auth_username", "pravega_client_auth_password"
_Program = TypeVar("_Program", bound="Program")


def account(login: Login) -> dict[str, str]:
    """The environment from which the package pravega, and each of our programs, takes the account."""
    return {"pravega_client_auth_method": "Basic", _USER: login.user, _PASSWORD: login.password}


def given_account() -> Login | None:
    """The account in this program's environment."""
    return Login(os.environ[_USER], os.environ[_PASSWORD]) if _USER in os.environ else None


class Program:
    """A module run as a program, until the end of the ``with``."""

    def __init__(self, module: str, *arguments: str, login: Login | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=_ROOT,
            env={**os.environ, **account(login)} if login else None,
        )

    def __enter__(self: _Program) -> _Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def kill(self) -> None:
        """kill -9: whoever waits for an answer of it gets an AssertionError."""
        self._process.kill()
        self._process.wait()

    def ask(self, what: str, **fields: Any) -> Any:
        """Have the program do something, and return its answer."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the program died at {what!r}"
        return json.loads(answer)


def obey(start: Callable[[], object]) -> None:
    """Be such a program: each order calls a method of what ``start`` returns, and answers with what that returns."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a client may print what it likes
    client = start()
    for line in sys.stdin:
        order = json.loads(line)
        answers.write(json.dumps(getattr(client, order.pop("do"))(**order)) + "\n")
        answers.flush()
    os._exit(0)  # without waiting for a client's threads


def events_in(data: bytes) -> list[bytes]:
    """The events in a segment's bytes."""
    events, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        events.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return events
