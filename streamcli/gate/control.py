"""Starts the gate, and asks it, from the owner's own commands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any, Final

from streamcli.errors import Unreachable, Unusable
from streamcli.gate.certificates import GateKeys
from streamcli.gate.guest_list import GuestList
from streamcli.gate.process import STATE
from streamcli.log.gate.tls import OWNER_PROTOCOL
from streamcli.server.gate_keeper import LOCK, start_gate
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.locks import is_held
from streamcli.system.paths import gate_dir, gate_state_dir

_STARTS_WITHIN: Final = 10.0  # seconds
_POLL = 0.02
_ANSWERS_WITHIN = 5.0


@dataclass(frozen=True)
class Answer:
    """What the gate says: how many connections a change has closed, who is here how often, where it can be reached."""

    closed: int = 0
    here: dict[str, int] = field(default_factory=dict)
    places: list[tuple[str, int]] = field(default_factory=list)


def stop(clock: Clock = SYSTEM) -> None:
    """End the gate, and wait until it has ended. Raises Unreachable if it does not."""
    end = clock.monotonic() + _STARTS_WITHIN
    if isinstance(pid := _state().get("pid"), int):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    while is_running():
        if clock.monotonic() > end:
            raise Unreachable(f"The gate, process {pid}, does not end.")
        clock.sleep(_POLL)


def is_running() -> bool:
    """Return whether a gate runs."""
    try:
        return is_held(gate_state_dir() / LOCK)
    except OSError:
        return False


def ensure_running(clock: Clock = SYSTEM) -> Answer:
    """Start the gate if none runs, and return what it says. Raises Unreachable, and Unusable if its port is taken."""
    if not is_running():
        (gate_state_dir() / STATE).unlink(missing_ok=True)
        start_gate()
    end = clock.monotonic() + _STARTS_WITHIN
    while True:
        try:
            return ask(clock)
        except Unreachable:
            if trouble := _state().get("trouble"):
                raise Unusable(str(trouble)) from None
            if clock.monotonic() > end:
                raise
        clock.sleep(_POLL)


def ask(clock: Clock = SYSTEM) -> Answer:
    """Have the running gate read its list anew, and return what it says. Raises Unreachable if none answers."""
    keys = GateKeys(gate_dir())
    port = _state().get("port")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(keys.certificate)
        context.load_cert_chain(keys.certificate, keys.key)
        context.set_alpn_protocols([OWNER_PROTOCOL])
        if not isinstance(port, int):
            raise Unreachable("The gate is not there.")
        plain = socket.create_connection(("127.0.0.1", port), _ANSWERS_WITHIN)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the request waits 40 ms behind the handshake
        with plain, context.wrap_socket(plain) as secured:
            secured.sendall(b"{}\n")
            answer = json.loads(secured.makefile("rb").readline())
        return Answer(answer["closed"], answer["here"], [(host, port) for host, port in answer["places"]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"The gate does not answer: {error}. The log says more.") from error


def in_words(clock: Clock = SYSTEM) -> str:
    """Describe the gate and its guests; "" if nobody is one or invited."""
    listed = GuestList(gate_dir(), clock).read()
    waiting = listed.waiting(clock.seconds())
    if not listed.guests and not waiting:
        return ""
    people = f"{len(listed.guests)} joined, {len(waiting)} invited"
    try:
        here = len(ask(clock).here)
    except Unreachable:
        return f"not there just now; {people}"
    return f"port {_state().get('port')}, {people}, {here} here now"


def _state() -> dict[str, Any]:
    try:
        found = json.loads((gate_state_dir() / STATE).read_bytes())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
