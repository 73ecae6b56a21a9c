"""The requests to worker programs. The prompt's process builds these values, and a worker gets them as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadRequest:
    """Read ``scope/stream`` from ``offsets`` on (bytes, by segment) if it still has the segment, else from the head.

    With ``at_end`` true, read from where the log ends. ``last`` is the segment, offset and fingerprint (hex) of the
    last event read. ``group`` is the reader group to create, ``head_group`` the second one for several segments,
    ``old_groups`` those to delete first. With ``trace`` false no stream is created, and no reader group remains if the
    stream's bytes can be read.
    """

    scope: str
    stream: str
    group: str
    head_group: str
    old_groups: list[str]
    offsets: dict[str, int]
    last: tuple[str, int, str] | None
    trace: bool
    at_end: bool = False


@dataclass(frozen=True)
class CleanRequest:
    """Delete the reader groups ``groups`` of ``scope`` and, if not "", the stream ``delete_stream``."""

    scope: str
    groups: list[str]
    delete_stream: str
