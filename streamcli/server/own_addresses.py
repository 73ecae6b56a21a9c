"""The addresses at which other machines may reach this one."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from pathlib import Path

import psutil

_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
_SOMEWHERE = "192.0.2.1"  # an address that nobody has (RFC 5737): nothing is sent to it
_MOST = 4


def own_addresses() -> list[str]:
    """Return this machine's addresses but loopback and link-local ones, the one with the default route first."""
    first = _routed()
    found = [first] if first else []
    with contextlib.suppress(OSError):  # a service may not be permitted to look
        stats = psutil.net_if_stats()
        for name, addresses in psutil.net_if_addrs().items():
            if name in stats and stats[name].isup:
                ours = [one.address for one in addresses if one.family is socket.AF_INET]
                found += filter(_is_reachable, ours)
    return list(dict.fromkeys(found))[:_MOST]


def in_container() -> bool:
    """Return whether this seems to be a container, whose addresses are known on its own machine only."""
    return any(Path(path).exists() for path in _CONTAINER_FILES)


def _routed() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_SOMEWHERE, 9))
        except OSError:
            return ""
        address = str(probe.getsockname()[0])
        return address if _is_reachable(address) else ""


def _is_reachable(address: str) -> bool:
    one = ipaddress.ip_address(address)
    return not (one.is_loopback or one.is_link_local or one.is_unspecified)
