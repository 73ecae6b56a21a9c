"""What the other machine says of its server: a line of JSON whenever it changes, and the command that prints it. Pure.

The account's password is in these lines. They go through ssh only: never into an argument, an environment or a log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from streamcli.model.address import Login

# The login shell may be any. Shells that are not interactive often lack the folder that pip and pipx install to.
_SCRIPT: Final = 'PATH="$PATH:$HOME/.local/bin"; export PATH; exec streamcli server access {options}'
_MARK: Final = "streamcli"
_VERSION: Final = 1
_LONGEST: Final = 500  # characters of a sentence


@dataclass(frozen=True)
class Access:
    """How the server is reached on its own machine: two ports on loopback, and the account."""

    rpc: int
    segment_store: int
    login: Login | None = None


@dataclass(frozen=True)
class NoAccess:
    """Why the server can't be used now, as a sentence; ``passing`` if it will be soon, without anybody's help."""

    words: str
    passing: bool = False


def remote_command(start: bool, timeout: float) -> str:
    """Return the command for the other machine's shell; it prints lines until its standard input ends.

    With ``start`` it first starts the server if needed, which may take ``timeout`` seconds.
    """
    options = f"--timeout {timeout:g}" if start else "--no-start"
    return f"exec sh -c '{_SCRIPT.format(options=options)}'"


def line(said: Access | NoAccess) -> str:
    """Return the line that says this."""
    fields: dict[str, object] = {_MARK: _VERSION}
    if isinstance(said, NoAccess):
        fields |= {"words": said.words, "passing": said.passing}
    else:
        fields |= {"rpc": said.rpc, "segment_store": said.segment_store}
        if said.login:
            fields |= {"account": said.login.user, "password": said.login.password}
    return json.dumps(fields)


def parse(text: bytes) -> Access | NoAccess | None:
    """Return what a line says; None for another line, such as the greeting of a shell's start file."""
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.get(_MARK) != _VERSION:
            return None
        if "words" in fields:
            return NoAccess(printable(str(fields["words"])), bool(fields["passing"]))
        login = Login(str(fields["account"]), str(fields["password"])) if "account" in fields else None
        return Access(_port(fields["rpc"]), _port(fields["segment_store"]), login)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _port(value: object) -> int:
    if not isinstance(value, int) or not 0 < value < 65536:
        raise ValueError("no port")
    return value


def printable(text: str) -> str:
    """Return ``text`` as one line that a terminal prints and does nothing else with."""
    return "".join(char if char.isprintable() else "?" for char in text.strip())[:_LONGEST]
