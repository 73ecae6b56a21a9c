"""Where a guest begins to read who was invited without the past. Pure."""

from __future__ import annotations

from typing import Any

from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.segment import segment_number


def above(floor: Cursor | None, asked: Cursor, log: str) -> Cursor:
    """Return from where a guest is served who asks for ``asked`` of ``log``, and sees nothing before ``floor``.

    A segment that the floor does not know ended before it, unless it is newer than all that the floor knows.
    """
    if floor is None or floor.log != log:
        return asked
    if asked.log != log:
        return floor
    newest = max(map(segment_number, floor.offsets), default=-1)
    newer = {name: at for name, at in asked.offsets.items() if segment_number(name) > newest}
    offsets = {name: max(at, asked.at(name, at)) for name, at in floor.offsets.items()}
    last = asked.last
    if last and last[0] in floor.offsets and last[1] < floor.at(last[0]):
        last = None
    return Cursor(log, {**offsets, **newer}, last)


def shows_below(floor: Cursor | None, opened: LogOpened) -> bool:
    """Whether reading from where ``opened`` starts shows what is older than ``floor``, as far as that is known."""
    if floor is None or floor.log != opened.log:
        return False
    if not opened.starts:
        return True
    newest = max(map(segment_number, floor.offsets), default=-1)
    for name, at in opened.starts.items():
        if at < floor.at(name, at if segment_number(name) > newest else at + 1):
            return True
    return False


def floor_fields(cursor: Cursor) -> dict[str, Any]:
    """Return a cursor as JSON stores it; the last event is not needed."""
    return {"log": cursor.log, "offsets": dict(cursor.offsets)}


def floor_of(fields: dict[str, Any] | None) -> Cursor | None:
    """Return a cursor that was stored. Raises ValueError, KeyError and TypeError for anything else."""
    if fields is None:
        return None
    return Cursor(str(fields["log"]), {str(name): int(at) for name, at in fields["offsets"].items()})
