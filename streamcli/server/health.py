"""Describes the health of each part of the running server."""

from __future__ import annotations

import json
from dataclasses import dataclass

from streamcli.server import probe, state
from streamcli.server.control import Status

_PATIENCE = 0.5  # seconds


@dataclass(frozen=True)
class Part:
    """One part of the server; ``port`` is None if it has none."""

    name: str
    port: int | None
    health: str


def parts(now: Status) -> list[Part]:
    """Check and return the parts of the server that ``now`` describes."""
    if now.ports is None or now.choice is None:
        return []
    found = [Part("zookeeper", now.ports.zookeeper, _said(probe.zookeeper_answers(now.ports.zookeeper, _PATIENCE)))]
    if now.choice.durable:
        found.append(Part("bookie", None, bookie(now.pid)))
    return [
        *found,
        Part("controller", now.ports.rpc, _said(probe.is_listening(now.ports.rpc, _PATIENCE))),
        Part("– its REST", now.ports.rest, _said(probe.is_alive(now.ports.rest, _PATIENCE))),
        Part(
            "segment store",
            now.ports.segment_store,
            _said(probe.segment_store_answers(now.ports.segment_store, _PATIENCE)),
        ),
    ]


def bookie(pid: int | None) -> str:
    """Return what the server's process ``pid`` last wrote about its bookie."""
    try:
        said = json.loads(state.health_path().read_text(encoding="utf-8"))
        return str(said["bookie"]) if said["pid"] == pid else "starting"
    except (OSError, ValueError, KeyError, TypeError):
        return "starting"


def _said(answers: bool) -> str:
    return "ok" if answers else "does not answer"
