"""Checks the gate of a chat that was joined: whether it lets us in, and how long it takes to answer."""

from __future__ import annotations

from streamcli.cli.roundtrip import WaitsForOpening
from streamcli.log.api import Target
from streamcli.log.session import LogSession
from streamcli.system.clock import SYSTEM, Clock


async def check_gate(target: Target, timeout: float, clock: Clock = SYSTEM) -> str:
    """Return a sentence about the gate that answers. Raises NotPermitted, and Unreachable after ``timeout`` seconds."""
    session = LogSession(target, timeout, clock=clock)
    connection = session.log.append_for(WaitsForOpening(session))
    start = clock.monotonic()
    async with session:
        await session.until(lambda: connection.is_open)
        took = clock.monotonic() - start
    assert target.gate
    return f"{session.log.reads_as} lets {target.gate.guest} in, {took * 1000:.0f} ms to be connected to its log"
