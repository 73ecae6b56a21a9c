"""The two sides of a guest's connection: what is read, and what is appended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from streamcli.log.api import AppendListener, ReadListener
from streamcli.log.frames import Frame, Received, pack, pack_count, pack_writes
from streamcli.log.gate.gate_frames import count_of, events_of, opened_of, rejection_of, writable_of
from streamcli.model.cursor import Cursor, LogOpened

_BATCH: Final = 2000  # events that are shown in one step; a frame may hold more


class Reading:
    """What is read (implements streamcli.log.api.Connection)."""

    def __init__(self, listener: ReadListener, send: Callable[[bytes], None], replace: Callable[[], None]) -> None:
        self.is_open = False
        self.replace = replace
        self._listener, self._send = listener, send
        self._log_id = ""
        self._begun = False
        self._life = 0  # of the connection
        self._loop = asyncio.get_running_loop()

    def request(self) -> dict[str, Any]:
        """In the loop: begin the next connection, and return where it begins."""
        self._life += 1
        self._begun = True
        cursor = self._listener.cursor() or Cursor()
        last = (*cursor.last[:2], cursor.last[2].hex()) if cursor.last else None
        return {"log": cursor.log, "offsets": dict(cursor.offsets), "last": last}

    def due_since(self, last_sign: float) -> float | None:
        """Return since when a sign of life has been due."""
        return self._listener.due_since(last_sign)

    # In the connection's thread.

    def on_frame(self, received: Received) -> None:
        """Handle OPENED, EVENTS and CAUGHT_UP; raises ValueError for anything else."""
        if received.kind is Frame.EVENTS:
            segment, batch = events_of(received, self._log_id)
            taken = self._taken(-(-len(batch) // _BATCH))
            for at in range(0, len(batch), _BATCH):
                self._listener.events(segment, batch[at : at + _BATCH], taken)
        elif received.kind is Frame.OPENED:
            opened = opened_of(received)
            self._log_id = opened.log
            self._listener.connected(opened)
            self._loop.call_soon_threadsafe(self._open, self._life, opened)
        elif received.kind is Frame.CAUGHT_UP:
            self._listener.caught_up()
        else:
            raise ValueError(f"a frame of type {received.kind.value}")

    def on_end(self) -> None:
        """Handle the end of a connection."""
        if self._begun:
            self._begun = False
            self._listener.ended()

    # In the loop.

    def _open(self, life: int, opened: LogOpened) -> None:
        if life == self._life and self._begun:
            self.is_open = True
            self._listener.opened(opened)

    def _taken(self, batches: int) -> Callable[[], None]:
        life, left = self._life, batches

        def taken() -> None:
            nonlocal left
            left -= 1
            if not left and life == self._life:  # not if a later connection is open: it did not bring these
                self._send(pack(Frame.TAKEN))

        return taken


class Appending:
    """What is appended (implements streamcli.log.api.AppendConnection). All calls but one are for the loop's thread."""

    def __init__(self, listener: AppendListener, send: Callable[[bytes], None], replace: Callable[[], None]) -> None:
        self.is_open = False
        self.replace = replace
        self._listener, self._send = listener, send

    def append(self, routing_key: str, datas: list[bytes]) -> None:
        """Send events in order, without waiting; dropped while not open."""
        if self.is_open:
            self._send(pack_writes(routing_key, datas))

    def due_since(self, last_sign: float) -> float | None:
        """Return since when an acknowledgement has been due."""
        return self._listener.due_since(last_sign)

    def on_frame(self, received: Received) -> Callable[[], None]:
        """In the connection's thread: return what to do in the loop about WRITABLE, WRITTEN or REJECTED."""
        if received.kind is Frame.WRITABLE:
            return partial(self._writable, *writable_of(received))
        if received.kind is Frame.WRITTEN:
            return partial(self._listener.acknowledged, count_of(received))
        return partial(self._listener.rejected, rejection_of(received))

    def _writable(self, log: str, life: int) -> None:
        self.is_open = True
        self._send(pack_count(Frame.WRITING, life))
        self._listener.opened(log)
