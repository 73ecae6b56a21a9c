"""The arguments of ssh, for a connection and for a port that it forwards, and what its end means. Pure."""

from __future__ import annotations

import math
from typing import Final

from streamcli.model.ssh_host import SshHost

HERE: Final = "127.0.0.1"
_NOT_FOUND: Final = 127  # exit code of a shell that finds no such command
_OWN_ERROR: Final = 255  # exit code of ssh
# They precede what the user's configuration says, and so override it.
_OPTIONS: Final = {
    "ControlMaster": "yes",  # through its socket ports are forwarded once they are known
    "ControlPersist": "no",
    "ClearAllForwardings": "yes",  # those of the configuration may be in use by another ssh
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "LogLevel": "INFO",  # its last line is shown
    "ServerAliveInterval": "5",  # seconds: a dead network is noticed after three times as long
    "ServerAliveCountMax": "3",
}


def connection(host: SshHost, control: str, remote: str, asks: bool, timeout: float) -> list[str]:
    """Return the command that runs ``remote`` on ``host`` and listens for requests at the socket ``control``.

    Unless it ``asks`` it never reads the terminal. ``timeout`` is for reaching the host, in seconds.
    """
    # Not -N: without a remote command ssh leaves Nagle's algorithm on, and each message takes 40 ms longer.
    options = {
        **_OPTIONS,
        "ControlPath": _literal(control),
        "BatchMode": "no" if asks else "yes",
        "ConnectTimeout": str(math.ceil(timeout)),
    }
    given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    user = ["-l", host.user] if host.user else []
    port = ["-p", str(host.port)] if host.port else []
    return ["ssh", "-T", *given, *user, *port, "--", host.host, remote]


def forwarding(control: str, here: int, there: int) -> list[str]:
    """Return the command that lets the connection forward the local port ``here`` to ``there``, both on loopback."""
    # No configuration: it could add ports. A host has to be named, and is not looked at.
    return [
        "ssh",
        "-F",
        "none",
        "-S",
        _literal(control),
        "-O",
        "forward",
        "-L",
        f"{HERE}:{here}:{HERE}:{there}",
        "there",
    ]


def ending(host: SshHost, code: int, last: str) -> str:
    """Return why a connection ended, from its exit code and its last line on standard error, without a full stop."""
    if code == _NOT_FOUND:
        return (
            f"ssh finds no command streamcli on {host.place}: install it there where every shell looks, "
            "or link it into ~/.local/bin"
        )
    if code in (0, _OWN_ERROR) or code < 0 or not last:
        return f"ssh to {host.place}: {last.removeprefix('ssh: ').rstrip('.') or f'ended with code {code}'}"
    return f"{host.place}: {last.removeprefix('streamcli: ').rstrip('.')}"


def denied(code: int, last: str) -> bool:
    """Return whether a connection ended because the host lets nobody in with these keys or this password."""
    return code == _OWN_ERROR and "Permission denied (" in last


def forbids_ports(line: str) -> bool:
    """Return whether a line on standard error says that the host does not forward ports."""
    return "administratively prohibited" in line


def _literal(path: str) -> str:
    return path.replace("%", "%%")
