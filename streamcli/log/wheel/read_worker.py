"""The read worker, ``python -m streamcli.log.wheel.read_worker``: delivers the log's events, oldest first.

With one segment it reads the past as raw bytes, from the requested position to the tail: fast, exact, and past events
that block the client's group reader. A reader group created at the tail just before delivers live events; those that
both deliver are dropped by offset. With several segments raw bytes can't be read and offsets don't order events, so a
group created at the head delivers past and live events.

A group serves one worker process and is deleted by the next (docs/decisions/0003-reader-groups.md). This also gets past
poison, an event of no bytes, at which a group's reader hangs forever: the next worker's raw read passes over it and its
group is created past it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from streamcli.log.frames import Frame, pack, pack_json
from streamcli.log.hand_over import Parent
from streamcli.log.raw_events import NoEvents
from streamcli.log.wheel.event_bytes import EventBytes
from streamcli.log.wheel.requests import ReadRequest
from streamcli.log.wheel.worker import Output, connect, needing, open_stream, run
from streamcli.model.address import Controller
from streamcli.model.fingerprint import fingerprint
from streamcli.model.segment import SCALED, segment_name

READER = "main"  # always the same id: a crash leaves at most one stale reader in the group
BEAT = 1.0  # seconds between heartbeats while nothing arrives
# The catch-up of several segments ends after so many seconds without an event, or so many in all: a busy stream is
# never quiet. Remaining events are then drawn as if they were live.
QUIET, QUIET_IN_ALL = 0.3, 1.0
# An idle get returns empty after 1 s. Quick empty results in a row mean an event of no bytes; a large event causes some
# too.
QUICK = 0.1
STUCK_AFTER = 50


def work(request: ReadRequest, controller: Controller, output: Output) -> None:
    """Read until killed."""
    client, manager = connect(controller)
    scope, stream, name = request.scope, request.stream, request.group
    log = open_stream(client, manager, scope, stream, make=request.trace)
    parent = Parent(output.send, _from_the_parent)
    for old in request.old_groups:
        with contextlib.suppress(Exception):  # an account that may not delete groups can still chat
            manager.delete_reader_group(old, scope)
    # The client keeps a group's state in a table, and to the server a table is a stream.
    tables = f"prn::/scope:{scope}/stream:{name.partition('-')[0]}-*_kvtable"
    with needing(tables, "keep reader groups"):
        group = manager.create_reader_group(name, scope, stream, True)
    segments = list(group.get_streamcut().get_segment_offset_map())
    if len(segments) == 1 and segments[0] < SCALED:
        parent.segment = segments[0]
        raw = EventBytes(manager.create_byte_stream(scope, stream))
        if not request.trace:
            manager.delete_reader_group(name, scope)
        below = _read_past(raw, request, log, parent)
        if not request.trace:
            _follow_bytes(raw, below, parent)
        asyncio.run(OneSegment(group.create_reader(READER), parent, below).follow())
    else:
        from_head = manager.create_reader_group(request.head_group, scope, stream, False).create_reader(READER)
        # A single segment that resulted from a merge counts as several: earlier events are in others.
        parent.send(pack_json(Frame.OPENED, log=log, segments=max(2, len(segments))))
        asyncio.run(SeveralSegments(from_head, group.create_reader(READER), parent).follow())


def _from_the_parent() -> bytes:
    return os.read(0, 4096) or os._exit(0)


def _read_past(raw: EventBytes, request: ReadRequest, log: str, parent: Parent) -> int:
    """Deliver all that is in the log now, from the requested offset if it is in this segment; return the tail."""
    head, tail = raw.head(), raw.tail()
    segment = segment_name(log, parent.segment)
    asked = request.offsets.get(segment, -1)
    last = request.last[1:] if request.last and request.last[0] == segment else None
    start = tail if request.at_end else asked if head <= asked <= tail and _is_there(raw, last, head, tail) else head
    parent.send(pack_json(Frame.OPENED, log=log, segments=1, starts={segment: start}, tails={segment: tail}))
    parent.hand_over(raw.events(start, tail))
    return tail


def _is_there(raw: EventBytes, last: tuple[int, str] | None, head: int, tail: int) -> bool:
    """Return whether the last event that the prompt took is unchanged, as far as that can be told.

    A stream that streamcli did not create has no id, and one with an id may be restored from an old copy.
    """
    if last is None or last[0] < head:
        return True
    try:
        offset, data = next(raw.events(last[0], tail), (0, b""))
    except NoEvents:
        return False
    return offset == last[0] and fingerprint(data).hex() == last[1]


def _follow_bytes(raw: EventBytes, start: int, parent: Parent) -> None:
    """Deliver live events as raw bytes, for a reader that leaves no trace: no group, no heartbeats."""
    parent.send(pack(Frame.CAUGHT_UP))
    for events in raw.follow(start):
        parent.hand_over(events)


class OneSegment:
    """Delivers what the group reads from offset ``below`` on.

    A slice is released only when it was drawn, so that the group's position never runs ahead of the screen.
    """

    def __init__(self, reader: Any, parent: Parent, below: int, now: Callable[[], float] = time.monotonic) -> None:
        self._reader, self._parent, self._below, self._now = reader, parent, below, now

    async def follow(self) -> None:
        """Read until an obstacle that only a new worker gets past."""
        self._parent.send(pack(Frame.CAUGHT_UP))
        quick, last = 0, -1
        while quick < STUCK_AFTER:
            asked = self._now()
            segment_slice = await self._reader.get_segment_slice_async()
            events = [(event.offset(), bytes(event.data())) for event in segment_slice]
            if events and events[0][0] <= last:
                return  # offsets start over: the stream was just split, and a new worker reads it as such
            if events:
                quick, last = 0, events[-1][0]
                self._parent.hand_over(event for event in events if event[0] >= self._below)
            else:
                quick = quick + 1 if self._now() - asked < QUICK else 0
                if quick == 0:
                    self._parent.send(pack(Frame.IDLE))
            self._reader.release_segment(segment_slice)
        self._parent.send(pack_json(Frame.STUCK, passable=True))


class SeveralSegments:
    """Delivers what a group created at the head reads; offsets have no meaning here, and there are no raw bytes.

    At an event of no bytes, the client keeps offering its segment and no other any more. If that happens in the past,
    the worker takes what the other segments have ready, and a group created at the tail delivers live events: nobody
    can read what is behind the empty event. If it happens live, a new worker finds the event in the past.
    """

    def __init__(
        self, from_head: Any, from_tail: Any, parent: Parent, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._from_head, self._from_tail, self._parent, self._now = from_head, from_tail, parent, now
        self._live = False
        self._waited = 0.0

    async def follow(self) -> None:
        """Read until only a new worker can continue."""
        await self._follow(self._from_head)
        if not self._live:
            self._parent.send(pack_json(Frame.STUCK, passable=False))
            self._caught_up()
            await self._follow(self._from_tail)
        self._parent.send(pack_json(Frame.STUCK, passable=True))

    async def _follow(self, reader: Any) -> None:
        """Deliver what ``reader`` reads until an event of no bytes is all it has."""
        kept: list[Any] = []
        quick = 0
        while True:
            asked = self._now()
            # Never cancel a pending get: the next events would be lost with it.
            getting = asyncio.ensure_future(reader.get_segment_slice_async())
            while not (await asyncio.wait({getting}, timeout=BEAT if self._live else QUIET))[0]:
                if kept:
                    return
                self._caught_up()
                self._parent.send(pack(Frame.IDLE))
            segment_slice, took = getting.result(), self._now() - asked
            events = [(event.offset(), bytes(event.data())) for event in segment_slice]
            self._parent.hand_over(events)
            quick = quick + 1 if took < QUICK and not events else 0
            if quick < STUCK_AFTER:
                reader.release_segment(segment_slice)
                self._wait_no_longer_than(took)
            elif self._live:
                return
            else:
                kept.append(segment_slice)  # while it is not returned, its segment is not offered, but the others are
                quick = 0

    def _wait_no_longer_than(self, took: float) -> None:
        self._waited += took
        if self._waited > QUIET_IN_ALL:
            self._caught_up()

    def _caught_up(self) -> None:
        if not self._live:
            self._live = True
            self._parent.send(pack(Frame.CAUGHT_UP))


if __name__ == "__main__":
    run(ReadRequest, work)
