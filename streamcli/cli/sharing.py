"""``streamcli invite``, ``guests`` and ``uninvite``: who else is let into the chat on this machine's server."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TextIO

from streamcli import server
from streamcli.config import Settings
from streamcli.errors import NothingFound, StreamcliError, Unreachable, UsageError
from streamcli.gate import control
from streamcli.gate.audit import Audit
from streamcli.gate.certificates import GateKeys
from streamcli.gate.control import Answer
from streamcli.gate.gate_settings import DEFAULT_PORT, GateSettings, read_settings, write_settings
from streamcli.gate.guest_list import GuestList
from streamcli.model.invitation import SECRET_BYTES, Invitation, pin_of
from streamcli.model.names import quoted, valid_id
from streamcli.model.numbers import whole
from streamcli.server.own_addresses import in_container
from streamcli.system.clock import Clock
from streamcli.system.paths import gate_dir

_UNITS: Final = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST: Final = 365 * 86_400.0  # seconds
_HOST: Final = re.compile(r"[A-Za-z0-9.:_-]{1,253}")
DEFAULT_EXPIRES: Final = "24h"
_EARLIER_PORTS: Final = 3


@dataclass(frozen=True)
class Wanted:
    """The request of ``invite``: for whom, until when (seconds from now), and how the gate can be reached."""

    name: str
    expires: float
    since_joining: bool = False
    hosts: tuple[str, ...] = ()
    port: int | None = None


def wanted(name: str, since_joining: bool, expires: str | None, host: str | None, port: str | None) -> Wanted:
    """Read the arguments of ``invite``. Raises UsageError."""
    return Wanted(valid_id(name), _duration(expires or DEFAULT_EXPIRES), since_joining, _hosts(host), _port(port))


def _duration(text: str) -> float:
    unit, number = _UNITS.get(text[-1:].lower()), whole(text[:-1], 1_000_000)
    if not unit or not number or number * unit > _LONGEST:
        raise UsageError(f"--expires takes a time such as 30m, 24h or 7d, at most 365d (got {quoted(text)}).")
    return number * unit


def _hosts(text: str | None) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",")) if text is not None else ()
    for host in found:
        if not _HOST.fullmatch(host):
            raise UsageError(f"--host takes host names or addresses, joined by commas (got {quoted(host)}).")
    return found


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    number = whole(text, 65_535)
    if not number:
        raise UsageError(f"--port must be a number from 1 to 65535 (got {quoted(text)}).")
    return number


def invite(settings: Settings, wanted: Wanted, out: TextIO, clock: Clock) -> int:
    """Print an invitation; start the server and the gate if they don't run. Raises StreamcliError."""
    if settings.where:
        raise UsageError("Others are invited to the chat on this machine's embedded server only: leave the URL out.")
    name, before = wanted.name, read_settings()
    after = _settings_after(before, settings, wanted)
    keys, guests = GateKeys(gate_dir()), GuestList(gate_dir(), clock)
    keys.ensure()
    secret = clock.random_bytes(SECRET_BYTES)
    void = guests.invite(name, secret, settings.user, clock.seconds() + wanted.expires, wanted.since_joining)
    write_settings(after)
    try:
        server.ensure_running(server.Lines(sys.stderr), settings.timeout)
        if before and (before.port, before.full_stream) != (after.port, after.full_stream) and control.is_running():
            control.stop(clock)  # it has to listen elsewhere
        answer = control.ensure_running(clock)
    except StreamcliError:
        guests.remove(name)
        raise
    Audit(gate_dir(), clock).say("invited", name)
    places = tuple(host for host, _ in answer.places) or ("127.0.0.1",)
    line = Invitation(name, places, after.port, pin_of(keys.der()), secret).line
    past = "what is said from their joining on" if wanted.since_joining else "everything ever said here"
    out.write(f"{name} will read {past}. Send this line; it works once, for {_in_words(wanted.expires)}:\n")
    out.write(f"  streamcli join {line}\n")
    for one in void:
        out.write(f"The earlier invitation of {one} is void.\n")
    for advice in _advice(answer, after):
        out.write(f"{advice}\n")
    return 0


def _settings_after(before: GateSettings | None, settings: Settings, wanted: Wanted) -> GateSettings:
    scope, stream = settings.stream.scope, settings.stream.stream
    if before is None:
        return GateSettings(settings.user, scope, stream, wanted.port or DEFAULT_PORT, wanted.hosts)
    if before.full_stream != settings.stream and GuestList(gate_dir()).is_wanted():
        raise UsageError(
            f"The gate is for the stream {before.full_stream}, and lets nobody into another one. "
            "Remove its guests first, or use another user's server."
        )
    port = wanted.port or before.port
    ports = [one for one in (before.port, *before.earlier_ports) if one != port][:_EARLIER_PORTS]
    hosts = wanted.hosts or before.hosts
    return GateSettings(before.owner, scope, stream, port, hosts, tuple(ports))


def _advice(answer: Answer, settings: GateSettings) -> list[str]:
    if not answer.places:
        return [
            "This machine has no address but its own: only people on it can join. --host names one that others reach."
        ]
    if in_container() and not settings.hosts:
        return [
            f"This seems to be a container, whose address others can't reach: publish its port {settings.port}, and "
            "name the machine with --host."
        ]
    return [f"From outside your network, port {settings.port} has to be forwarded to this machine."]


def guests(out: TextIO, clock: Clock) -> int:
    """Print who has joined and who is invited; raises NothingFound if there is nobody."""
    listed = GuestList(gate_dir(), clock).read()
    waiting = listed.waiting(clock.seconds())
    if not listed.guests and not waiting:
        raise NothingFound("Nobody is a guest here, or invited. `streamcli invite NAME` invites.")
    try:
        here = control.ask(clock).here
    except Unreachable:
        here = {}
    width = max(map(len, [*listed.guests, *(one.name for one in waiting.values())]))
    for guest in sorted(listed.guests.values(), key=lambda guest: guest.joined):
        now = "here now" if here.get(guest.name) else "not here"
        out.write(f"{guest.name:<{width}}  joined {_moment(guest.joined)} from {guest.address}, {now}\n")
    for one in waiting.values():
        out.write(f"{one.name:<{width}}  invited, until {_moment(one.expires)}\n")
    return 0


def uninvite(name: str, out: TextIO, clock: Clock) -> int:
    """Remove a guest, or an invitation, at once; raises NothingFound if there is no such guest."""
    name, guests = valid_id(name), GuestList(gate_dir(), clock)
    had_joined = name in guests.read().guests
    if not guests.remove(name):
        raise NothingFound(f"{name} is no guest here. `streamcli guests` lists them.")
    try:
        closed = control.ask(clock).closed
    except Unreachable:
        if control.is_running():
            raise
        closed = 0
    Audit(gate_dir(), clock).say("removed", name)
    connections = f"{closed} connection{'' if closed == 1 else 's'} closed"
    if had_joined:
        out.write(f"{name} is out: {connections}. What they have read stays with them.\n")
    else:
        out.write(f"The invitation of {name} is void.\n")
    return 0


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _in_words(seconds: float) -> str:
    for unit, name in ((86_400.0, "day"), (3600.0, "hour")):
        if seconds % unit == 0 and seconds > unit:
            return f"{seconds / unit:.0f} {name}s"
    return "1 hour" if seconds == 3600 else "24 hours" if seconds == 86_400 else f"{seconds / 60:.0f} minutes"
