"""Names of a stream's segments. Separate from `cursor`, so that workers need not load pydantic. Pure."""

from __future__ import annotations

SCALED = 1 << 32  # segment numbers below this are older than any scaling of the stream


def segment_name(log: str, number: int) -> str:
    """Return a segment's name: the log's tag, which is random, and the segment's number in the stream."""
    return f"{log}#{number}"


def segment_number(name: str) -> int:
    """Return the number in a segment's name. Segments that result from scaling have larger numbers than before."""
    return int(name.rpartition("#")[2])
