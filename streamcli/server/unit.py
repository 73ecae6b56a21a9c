"""The systemd unit that ``streamcli server unit`` prints: ``streamcli server run`` as a service."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# What decides where files are, and which Java is used. The service must find what its user's terminals find.
_KEPT = (
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "STREAMCLI_JAVA",
    "STREAMCLI_MAVEN_URL",
)
_UNIT = """\
# {where}
[Unit]
Description=The server of a streamcli chat

[Service]
Type=exec
{user}ExecStart={command}
{environment}Restart=on-failure
RestartSec=5
# A wrong command line or setting: starting it again would not help.
RestartPreventExitStatus=64 78
# `server run` gets SIGTERM and ends the server in order.
KillMode=mixed
TimeoutStopSec=30
UMask=0077
# Java compiles as it runs, so MemoryDenyWriteExecute= must not be set.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
{more}
[Install]
WantedBy={target}
"""
_SYSTEM_ONLY = """\
CapabilityBoundingSet=
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=full
"""
_USER_PLACE = "~/.config/systemd/user/streamcli.service; `loginctl enable-linger` starts it without a login"
_SYSTEM_PLACE = "/etc/systemd/system/streamcli.service"


def unit(user: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """Return a unit for this user's own systemd, or with ``user`` one for the system's, which runs it as that user.

    ``environment`` is the user's.
    """
    command = [*program(), "server", "run"]
    if re.search(r"[\"'\\$]", command[0]):
        command.insert(0, "/usr/bin/env")  # systemd takes such names as arguments, but not as programs
    kept = [f"Environment={_quoted(f'{name}={environment[name]}')}\n" for name in _KEPT if environment.get(name)]
    return _UNIT.format(
        where=_SYSTEM_PLACE if user else _USER_PLACE,
        user=f"User={user}\n" if user else "",
        command=" ".join(_quoted(word, command=True) for word in command),
        environment="".join(kept),
        more=_SYSTEM_ONLY if user else "",
        target="multi-user.target" if user else "default.target",
    )


def program(argv: Sequence[str] = sys.argv) -> list[str]:
    """Return the words that run this program again, from any folder."""
    script = Path(argv[0]).absolute()
    if script.name == "streamcli" and os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-m", "streamcli"]


def _quoted(word: str, command: bool = False) -> str:
    """Quote a word for systemd, which replaces ``%`` everywhere and ``$`` in commands."""
    word = word.replace("%", "%%").replace("$", "$$" if command else "$")
    if re.fullmatch(r"[\w@%+=:,./-]+", word):
        return word
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n")):
        word = word.replace(plain, escaped)
    return f'"{word}"'
