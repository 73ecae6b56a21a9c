"""The read worker: ``python -m streamcli.pravega.read_worker``. Brings the log's events up, oldest first.

On a stream of one segment the past is read as raw bytes, from the position it is told up to the tail: quick, exact, and
it passes events that the client's group reader can't pass. A reader group made at the tail just before brings what is
live; what both bring is dropped by its offset. On several segments raw bytes can't be read and offsets don't order
events, so a group made at the head brings past and live alike.

A group serves one life of this worker and is deleted by the next (docs/decisions/0003-reader-groups.md). That is also
how poison is passed, an event of no bytes, at which a group's reader stands still for ever: the next worker's bytes
lead over it and its group is made past it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterable
from typing import Any

from streamcli.pravega.event_bytes import EventBytes
from streamcli.pravega.frames import Frame, Splitter, pack, pack_events, pack_json
from streamcli.pravega.worker import Output, load_client, open_stream, run

READER = "main"  # one id for ever: a crash leaves at most one stale reader in the group
BATCH = 2000  # events in a frame: some milliseconds of work for the prompt's process
QUIET = 0.3  # seconds without an event after which a stream of several segments counts as read
# An idle get returns empty after 1 s. Quick empties in a row mean an event of no bytes; a large event has some too.
QUICK = 0.1
STUCK_AFTER = 50


class Parent:
    """The prompt's process as the worker sees it: takes events, and says when it has drawn them."""

    def __init__(self, output: Output) -> None:
        self.send = output.send
        self._splitter = Splitter()

    def hand_over(self, events: Iterable[tuple[int, bytes]]) -> None:
        """Send events in frames and wait until each is drawn."""
        left = iter(events)
        while batch := list(itertools.islice(left, BATCH)):
            self.send(pack_events(batch))
            self._wait_until_taken()

    def _wait_until_taken(self) -> None:
        while True:
            piece = os.read(0, 4096)
            if not piece:
                os._exit(0)
            if any(kind is Frame.TAKEN for kind, _ in self._splitter.feed(piece)):
                return


def work(orders: dict[str, Any], output: Output) -> None:
    """Read until killed."""
    client = load_client()
    manager, log = open_stream(client, orders)
    parent = Parent(output)
    scope, stream, name = orders["scope"], orders["stream"], orders["group"]
    for old in orders["old_groups"]:
        manager.delete_reader_group(old, scope)
    group = manager.create_reader_group(name, scope, stream, True)
    segments = group.get_streamcut().get_segment_offset_map()
    if list(segments) == [0]:
        below = _read_past(EventBytes(manager.create_byte_stream(scope, stream)), orders, log, parent)
        asyncio.run(_follow(group.create_reader(READER), parent, below))
    else:
        group = manager.create_reader_group(orders["head_group"], scope, stream, False)
        parent.send(pack_json(Frame.OPENED, log=log, segments=len(segments), start=0, tail=0))
        asyncio.run(_follow(group.create_reader(READER), parent, None))


def _read_past(raw: EventBytes, orders: dict[str, Any], log: str, parent: Parent) -> int:
    """Hand over all that is in the log now, from the ordered position if this is the log it belongs to; its tail."""
    head, tail = raw.head(), raw.tail()
    known = orders["log"] == log and head <= orders["position"] <= tail
    start = orders["position"] if known else head
    parent.send(pack_json(Frame.OPENED, log=log, segments=1, start=start, tail=tail))
    parent.hand_over(raw.events(start, tail))
    return tail


async def _follow(reader: Any, parent: Parent, below: int | None) -> None:
    """Hand over what the group brings from offset ``below`` on; None on several segments, where offsets say nothing.

    A slice is released only when it was drawn, so that the group's position never runs ahead of the screen.
    """
    one_segment = below is not None
    live = one_segment
    if live:
        parent.send(pack(Frame.CAUGHT_UP))
    quick, said = 0, False
    while True:
        asked = time.monotonic()
        # A pending get must never be cancelled: what comes next would be lost with it.
        getting = asyncio.ensure_future(reader.get_segment_slice_async())
        if not live and not (await asyncio.wait({getting}, timeout=QUIET))[0]:
            live = True
            parent.send(pack(Frame.CAUGHT_UP))
        segment_slice = await getting
        events = [(event.offset(), bytes(event.data())) for event in segment_slice]
        if events:
            quick = 0
            parent.hand_over(event for event in events if below is None or event[0] >= below)
        else:
            quick = quick + 1 if time.monotonic() - asked < QUICK else 0
            if quick == 0:
                parent.send(pack(Frame.IDLE))
        reader.release_segment(segment_slice)
        if quick >= STUCK_AFTER:
            if one_segment or not said:
                parent.send(pack_json(Frame.STUCK, passable=one_segment))
            if one_segment:
                return
            said = True
            await asyncio.sleep(QUICK)  # other segments may still bring something, but don't spin for it


if __name__ == "__main__":
    run(work)
