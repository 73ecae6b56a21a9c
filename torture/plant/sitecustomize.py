"""Leads clients of the embedded server, and guests, through the suite's proxies, and sets a prompt's clock wrong.

Python imports this at its start from PYTHONPATH, so the program itself knows nothing of it.

``STREAMCLI_TORTURE_PROXIES`` holds three ports, ``CONTROLLER,STORE,GATE``: what clients and guests are told instead of
the real ones. The gate is told them as well: it is a client of the server, and may start it.
``STREAMCLI_TORTURE_CLOCK`` holds seconds, ``FIRST,SECOND``: by how much the injected clock is off, and by how much
after some seconds more, as when somebody sets it.

An exception here would be swallowed by Python with one line, and the fault would silently not happen. So anything that
is not as expected ends the program with the exit code MISSED, which fails the run.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import replace
from datetime import timedelta
from typing import Any

SET_AGAIN_AFTER = 8.0  # seconds
MISSED = 97  # no exit code of the program itself


def change(owner: Any, name: str, value: Any) -> None:
    """Replace the attribute ``name``, which must be there: otherwise nothing would happen."""
    if not hasattr(owner, name):
        raise LookupError(f"{owner!r} has no {name}: the fault would not happen")
    setattr(owner, name, value)


def _lead_through(controller: str, store: str, gate: str) -> None:
    from streamcli.server import parts, state

    original = parts.properties

    def properties(*facts: Any) -> dict[str, str]:
        published = {
            "controller.service.rpc.published.port": controller,
            "pravegaservice.service.published.port": store,
        }
        return original(*facts) | published

    change(parts, "properties", properties)
    change(state.Ports, "url", property(lambda ports: f"tcp://127.0.0.1:{controller}"))
    if _program == ["streamcli.gate"]:
        from streamcli.gate import process

        # Guests keep each address that the gate tells them: any other one would lead them past the proxy.
        change(process._Process, "_places", lambda self: [("127.0.0.1", int(gate))])


def _set_the_clock(first: float, second: float) -> None:
    from streamcli.system import clock

    begun, right = time.monotonic(), clock.SYSTEM

    def off() -> float:
        return first if time.monotonic() - begun < SET_AGAIN_AFTER else second

    wrong = replace(
        right,
        now=lambda: right.now() + timedelta(seconds=off()),
        time_ns=lambda: right.time_ns() + int(off() * 1e9),
    )
    change(clock, "SYSTEM", wrong)


def _plant() -> None:
    if proxies := os.environ.get("STREAMCLI_TORTURE_PROXIES"):
        _lead_through(*proxies.split(","))
    clock = os.environ.get("STREAMCLI_TORTURE_CLOCK")
    if clock and _program != ["streamcli.gate"]:  # the gate has it from whose chat has started its server
        _set_the_clock(*map(float, clock.split(",")))


_program = [word for word in sys.orig_argv if word.startswith("streamcli")]
if _program[:1] in (["streamcli"], ["streamcli.gate"]):  # neither a worker nor the server's own process
    try:
        _plant()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(MISSED)
