"""Names of a stream's segments. Separate from `cursor`, so that workers need not load pydantic. Pure."""

from __future__ import annotations

import re
from typing import Any, Final, TypeGuard

SCALED = 1 << 32  # segment numbers below this are older than any scaling of the stream
_MOST: Final = 1 << 63  # the server's numbers are below
_NAME: Final = re.compile(r".*#(0|[1-9][0-9]{0,18})", re.DOTALL)


def segment_name(log: str, number: int) -> str:
    """Return a segment's name: the log's tag, which is random, and the segment's number in the stream."""
    return f"{log}#{number}"


def segment_number(name: str) -> int:
    """Return the number in a segment's name. Segments that result from scaling have larger numbers than before."""
    return int(name.rpartition("#")[2])


def is_segment_name(name: str) -> bool:
    """Return whether a segment can have this name, which comes from somewhere else."""
    found = _NAME.fullmatch(name)
    return found is not None and int(found[1]) < _MOST


def is_offset(value: Any) -> TypeGuard[int]:
    """Return whether this value, which comes from somewhere else, can be an offset or a segment's number."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST
