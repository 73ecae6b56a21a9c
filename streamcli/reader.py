"""`Reader`: brings the log's messages up, in a thread of its own, through the read worker and a reader group.

The worker reads segment slices asynchronously; its frames are decoded in the thread that listens to it and posted
to the one loop that owns state and screen. Only when a batch has been drawn is the worker told to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from streamcli.address import Stream
from streamcli.message import decode
from streamcli.pravega.event_bytes import HEAD_BYTES
from streamcli.pravega.frames import Frame, pack, unpack_events, unpack_json
from streamcli.pravega.groups import GroupNames, head_group
from streamcli.pravega.supervisor import Lane
from streamcli.state import Arrived, Opened

MODULE = "streamcli.pravega.read_worker"
DELETED_AT_ONCE = 10  # groups of earlier lives; each takes a moment in which nothing is read yet


@dataclass(frozen=True)
class Place:
    """Where reading goes on: a log's id and the offset of the first event not yet taken."""

    log: str = ""
    position: int = 0


class Listener(Protocol):
    """Who is told what arrives; all calls come in the loop's thread, in the log's order."""

    def place(self) -> Place:
        """Where to go on reading after the worker was replaced."""

    def opened(self, opened: Opened) -> None:
        """Reading begins."""

    def arrived(self, batch: list[Arrived]) -> None:
        """Events were read; they count as drawn when this returns."""

    def caught_up(self) -> None:
        """What follows is live."""

    def stuck(self, passable: bool) -> None:
        """An empty event stops the reader group; ``passable`` when a new worker leads past it."""


class Reader:
    """One terminal's way from the log to the screen."""

    def __init__(
        self,
        stream: Stream,
        groups: GroupNames,
        listener: Listener,
        own_unread_since: Callable[[], float | None],
    ) -> None:
        """``own_unread_since()`` tells since when a message of ours is in the log but was not read back, if any."""
        self._stream, self._groups, self._listener = stream, groups, listener
        self._own_unread_since = own_unread_since
        self._deleting: list[str] = []
        self._loop = asyncio.get_running_loop()
        self.lane = Lane(MODULE, self._orders, self._on_frame, self._due_since, self._opened)

    def _orders(self) -> dict[str, Any]:
        name = self._groups.next()
        self._deleting = self._groups.left_over()[:DELETED_AT_ONCE]
        place = self._listener.place()
        return {
            "scope": self._stream.scope,
            "stream": self._stream.stream,
            "group": name,
            "head_group": head_group(name),
            "old_groups": self._deleting,
            "log": place.log,
            "position": place.position,
            "trace": True,  # a reader group, and the stream if it is missing
        }

    def _due_since(self, last_frame: float) -> float:
        # An idle reader says so every second; one that is idle although our own message is in the log is no good.
        unread = self._own_unread_since()
        return last_frame if unread is None else min(last_frame, unread)

    def _on_frame(self, frame: Frame, payload: bytes) -> None:
        """In the listening thread: decode, and leave the rest to the loop."""
        post = self._loop.call_soon_threadsafe
        if frame is Frame.EVENTS:
            post(self._take, arrivals(payload))
        elif frame is Frame.CAUGHT_UP:
            post(self._listener.caught_up)
        elif frame is Frame.STUCK:
            post(self._listener.stuck, unpack_json(payload)["passable"])

    def _opened(self, fields: dict[str, Any]) -> None:
        self._groups.forget(self._deleting)
        self._listener.opened(Opened(**fields))

    def _take(self, batch: list[Arrived]) -> None:
        self._listener.arrived(batch)
        self.lane.send(pack(Frame.TAKEN))


def arrivals(payload: bytes) -> list[Arrived]:
    """Decode an EVENTS frame: what each event means, and the offset just past it."""
    return [Arrived(offset + HEAD_BYTES + len(data), decode(data, offset)) for offset, data in unpack_events(payload)]
