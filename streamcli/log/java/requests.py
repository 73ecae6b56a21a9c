"""The requests to workers in the host process. The prompt's process builds them, and a worker gets them as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadRequest:
    """Read ``scope/stream`` from ``offsets`` on (bytes, by segment) if it still is the same log, else from the head.

    ``last`` is the segment, offset and fingerprint (hex) of the last event read. With ``make`` the stream is created if
    missing.
    """

    scope: str
    stream: str
    make: bool
    offsets: dict[str, int]
    last: tuple[str, int, str] | None


@dataclass(frozen=True)
class WriteRequest:
    """Append to ``scope/stream``; create it if missing."""

    scope: str
    stream: str


@dataclass(frozen=True)
class CleanRequest:
    """Delete the stream ``delete_stream`` of ``scope``."""

    scope: str
    delete_stream: str
