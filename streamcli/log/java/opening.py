"""Where reading a stream begins, segment by segment, and what it holds at that time. Pure, but for what it asks.

A segment that ends is followed by others: by several when it was split, by one that several share when they were
joined. A successor is read only when all its predecessors have been read to their ends, so that the events of a routing
key keep their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from streamcli.log.java.requests import ReadRequest
from streamcli.log.raw_events import HEAD_BYTES, MAX_EVENT
from streamcli.model.fingerprint import fingerprint
from streamcli.model.segment import SCALED, segment_name, segment_number


class Extent(NamedTuple):
    """What a segment holds: from ``head`` to ``tail`` (bytes); to a sealed one nothing is added."""

    head: int
    tail: int
    sealed: bool


class Segments(Protocol):
    """A stream's segments, by their numbers."""

    def heads(self) -> dict[int, int]:
        """Return the segments at the stream's head, each with the offset of its oldest byte."""

    def current(self) -> list[int]:
        """Return the segments that are written to now."""

    def look(self, number: int) -> Extent | None:
        """Return what a segment holds now, None if there is no such segment."""

    def successors(self, number: int) -> dict[int, list[int]]:
        """Return the segments that follow an ended one, each with all segments that it follows."""

    def first_bytes(self, number: int, offset: int, size: int) -> bytes:
        """Return at most ``size`` bytes at ``offset``, fewer if the segment ends there."""


@dataclass(frozen=True)
class Opening:
    """Where reading begins: ``starts`` and ``tails`` as in `LogOpened`, by number.

    ``done`` are segments that were read to their ends, ``waiting`` their successors that also follow others, with all
    that they follow.
    """

    segments: int
    starts: dict[int, int]
    tails: dict[int, int]
    done: set[int] = field(default_factory=set)
    waiting: dict[int, list[int]] = field(default_factory=dict)


def opening(stream: Segments, log: str, request: ReadRequest) -> Opening:
    """Return where reading begins: where ``request`` says, if that fits the stream, else at the stream's head."""
    current = stream.current()
    segments = 1 if len(current) == 1 and current[0] < SCALED else max(2, len(current))
    if request.at_end:
        ends = {number: extent.tail for number in current if (extent := stream.look(number))}
        found = _resolved(stream, ends, ends)
    else:
        found = _resumed(stream, log, request) or _resolved(stream, stream.heads(), {})
    if found is None:
        raise LookupError("the stream's segments changed while it was opened")
    starts, done, waiting = found
    return Opening(segments, starts, _tails(stream, starts), done, waiting)


_Found = tuple[dict[int, int], set[int], dict[int, list[int]]]


def _resumed(stream: Segments, log: str, request: ReadRequest) -> _Found | None:
    offsets = {segment_number(name): at for name, at in request.offsets.items() if _of(name, log)}
    if not offsets or len(offsets) < len(request.offsets):
        return None
    if request.last and not _is_there(stream, log, request.last):
        return None
    return _resolved(stream, offsets, offsets)


def _of(name: str, log: str) -> bool:
    head, _, number = name.rpartition("#")
    return number.isdecimal() and segment_name(head, int(number)) == name and head == log


def _is_there(stream: Segments, log: str, last: tuple[str, int, str]) -> bool:
    """Return whether the last event read is unchanged, as far as that can be told.

    A stream that streamcli did not create has no id, and one with an id may be restored from an old copy.
    """
    name, offset, wanted = last
    if not _of(name, log):
        return False
    number = segment_number(name)
    extent = stream.look(number)
    if extent is None or offset < extent.head:
        return True
    head = stream.first_bytes(number, offset, HEAD_BYTES) if offset + HEAD_BYTES <= extent.tail else b""
    size = int.from_bytes(head[4:], "big")
    if len(head) < HEAD_BYTES or any(head[:4]) or size > MAX_EVENT or offset + HEAD_BYTES + size > extent.tail:
        return False
    data = stream.first_bytes(number, offset + HEAD_BYTES, size) if size else b""
    return fingerprint(data).hex() == wanted


def _resolved(stream: Segments, roots: Mapping[int, int], offsets: Mapping[int, int]) -> _Found | None:
    """Return where each segment is to be read from; None if ``roots`` don't fit the stream."""
    starts: dict[int, int] = {}
    done: set[int] = set()
    ended: dict[int, int] = {}  # segments that still exist, at their ends
    following: dict[int, list[int]] = {}
    queue = sorted(roots)
    while queue:
        number = queue.pop(0)
        if number in starts or number in done:
            continue
        at, extent = roots.get(number, offsets.get(number, 0)), stream.look(number)
        if extent and at > extent.tail:
            return None
        if extent and not (extent.sealed and at == extent.tail):
            starts[number] = max(at, extent.head)
            continue
        done.add(number)
        if extent:
            ended[number] = extent.tail
        successors = stream.successors(number)
        if not successors and extent is None:  # there never was such a segment
            return None
        if not successors and extent:  # the stream is sealed
            starts[number] = extent.tail
        following |= successors
        ready = [
            after for after, before in following.items() if all(_is_done(stream, one, done, starts) for one in before)
        ]
        queue += [after for after in ready if after not in done and after not in starts]
    waiting = {after: before for after, before in following.items() if after not in starts and after not in done}
    for before in waiting.values():
        starts |= {number: ended[number] for number in before if number in ended}
    return (starts, done, waiting) if starts else None


def _is_done(stream: Segments, number: int, done: set[int], starts: Mapping[int, int]) -> bool:
    return number in done or (number not in starts and stream.look(number) is None)


def _tails(stream: Segments, starts: Mapping[int, int]) -> dict[int, int]:
    """Return the length of each segment in ``starts`` and of all that follow them."""
    tails: dict[int, int] = {}
    queue = list(starts)
    while queue:
        number = queue.pop()
        extent = None if number in tails else stream.look(number)
        if extent:
            tails[number] = max(extent.tail, starts.get(number, 0))
            if extent.sealed:
                queue += stream.successors(number)
    return tails
