"""The requests to lanes of the host. The prompt's process builds these values, and a lane gets them as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadRequest:
    """Read ``scope/stream`` from ``offsets`` on (bytes, by segment name) if they fit the log, else from the head.

    With ``at_end`` true, read from where the log ends. ``last`` is the segment, offset and fingerprint (hex) of the
    last event read. The stream is created if it is missing and ``make`` is true.
    """

    scope: str
    stream: str
    make: bool
    offsets: dict[str, int]
    last: tuple[str, int, str] | None
    at_end: bool = False


@dataclass(frozen=True)
class CleanRequest:
    """Delete the stream ``delete_stream`` of ``scope``, if it is not ""."""

    scope: str
    delete_stream: str
