"""What the worker programs are asked to do. The prompt's process builds these values, a worker gets them as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadRequest:
    """Read ``scope/stream`` from ``position`` on if it still is an offset in ``segment``, else from the head.

    ``last`` is the offset and the fingerprint (hex) of the last event that was read. ``group`` is the reader group to
    make, ``head_group`` the one beside it for several segments, ``old_groups`` those to delete first. With ``trace``
    false no stream is made, and no reader group stays where there are bytes to read.
    """

    scope: str
    stream: str
    group: str
    head_group: str
    old_groups: list[str]
    segment: str
    position: int
    last: tuple[int, str] | None
    trace: bool


@dataclass(frozen=True)
class WriteRequest:
    """Append to ``scope/stream``, which is made if it is missing."""

    scope: str
    stream: str


@dataclass(frozen=True)
class CleanRequest:
    """Delete the reader groups ``groups`` of ``scope`` and, if it is named, the stream ``delete_stream``."""

    scope: str
    groups: list[str]
    delete_stream: str
