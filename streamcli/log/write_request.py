"""The request to a worker that appends, whichever client it loads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WriteRequest:
    """Append to ``scope/stream``; create it if missing."""

    scope: str
    stream: str
