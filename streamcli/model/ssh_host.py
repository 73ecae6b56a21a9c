"""`SshHost`: a machine of one's own whose embedded server is used over ssh, as its user has named it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from streamcli.errors import UsageError

SCHEME: Final = "ssh://"
_FORM: Final = "another machine of yours is named like ssh://home or ssh://tim@chat.example.org:22"
# What begins with a dash would be an option of ssh.
_USER: Final = r"(?:(?P<user>[\w.+][\w.+-]*)@)?"
_HOST: Final = r"(?:\[(?P<ip>[0-9A-Fa-f:.]+(?:%[\w.]+)?)\]|(?P<name>[\w.][\w.-]*))"
_URL: Final = re.compile(rf"{_USER}{_HOST}(?::(?P<port>\d{{1,5}}))?/?", re.ASCII)


@dataclass(frozen=True)
class SshHost:
    """A machine that ssh reaches: a host name, or a name from ssh's configuration. What is None is left to ssh."""

    host: str
    user: str | None = None
    port: int | None = None

    @property
    def place(self) -> str:
        """The machine as its user has named it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"

    @property
    def key(self) -> str:
        """The URL. It does not depend on the local ports that lead to the server."""
        return f"{SCHEME}{self.place}"


def parse_ssh(text: str) -> SshHost:
    """Parse ``ssh://[user@]host[:port]``; raises UsageError for anything else, without repeating a password."""
    match = _URL.fullmatch(text.removeprefix(SCHEME))
    if not text.startswith(SCHEME) or not match:
        raise UsageError(f"This is no ssh:// URL; {_FORM}.")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"{text!r} has no valid port; {_FORM}.")
    return SshHost(match["ip"] or match["name"], match["user"], port)
