"""`Reader`: brings the log's messages up, in a thread of its own, through the read worker and a reader group.

The worker reads segment slices asynchronously; its frames are decoded in the thread that listens to it, stored in
another, and posted to the one loop that owns state and screen: while one batch is stored, the next is decoded. Only
when a batch has been drawn is the worker told to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from streamcli.log.frames import Frame, pack, unpack_events, unpack_json
from streamcli.log.supervisor import WorkerSlot
from streamcli.log.wheel.cleaning import clean
from streamcli.log.wheel.event_bytes import HEAD_BYTES
from streamcli.log.wheel.groups import GroupNames, head_group
from streamcli.model.address import Stream
from streamcli.model.dedup_key import DedupKeys
from streamcli.model.message import decode
from streamcli.storage.recorder import Recorder
from streamcli.storage.stored_event import Event
from streamcli.system.guard import report
from streamcli.views.timeline import DecodedEvent, LogOpened, LogPosition

MODULE = "streamcli.log.wheel.read_worker"
DELETED_AT_ONCE = 20  # groups of earlier lives
DELETED_AFTER = 5.0  # seconds of reading, so that it does not stand in the way of what is waited for
DELETED_WITHIN = 30.0  # seconds; a durable server that has much to do takes up to one for each

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what arrives; all calls come in the loop's thread, in the log's order."""

    def place(self) -> LogPosition:
        """Where to go on reading after the worker was replaced."""

    def opened(self, opened: LogOpened) -> None:
        """Reading begins."""

    def arrived(self, batch: list[DecodedEvent], drawn: Callable[[], None]) -> None:
        """Events were read; ``drawn`` is to be called when they are drawn."""

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
        recorder: Recorder,
        own_unread_since: Callable[[], float | None],
        trace: bool = True,
    ) -> None:
        """``own_unread_since()`` tells since when a message of ours is in the log but was not read back, if any.

        Without a ``trace`` no stream is made, and no reader group stays where there are bytes to read.
        """
        self._trace = trace
        self._stream, self._groups, self._listener, self._recorder = stream, groups, listener, recorder
        self._own_unread_since = own_unread_since
        self._deleting: asyncio.Task[None] | None = None
        self._identities = DedupKeys(1)
        self._storing = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._loop = asyncio.get_running_loop()
        self._closed = self._broken = self._failed_before = False
        self._drawing = 0  # batches that are on their way to the screen
        self._brought = 0.0  # when (monotonic) the last events came, where they come in the log's order
        self.lane = WorkerSlot(MODULE, self._orders, self._on_frame, self._due_since, self._opened, self._settle)

    def _orders(self) -> dict[str, Any]:
        name = self._groups.next()
        place = self._listener.place()
        last = self._recorder.last_event
        return {
            "scope": self._stream.scope,
            "stream": self._stream.stream,
            "group": name,
            "head_group": head_group(name),
            "old_groups": [],
            "log": place.place,
            "position": place.position,
            "last": [last[0], last[1].hex()] if last else None,
            "trace": self._trace,
        }

    def _due_since(self, last_frame: float) -> float | None:
        if self._drawing:
            return None  # it waits for the screen, which may be a pipe that nobody reads for hours
        # An idle reader says so every second; one that is idle although our own message is in the log is no good. One
        # that brings what stands before it in the log is.
        unread = self._own_unread_since()
        return last_frame if unread is None else min(last_frame, max(unread, self._brought))

    def close(self) -> None:
        """Store what has come, and let the history go; what a worker that was killed still says is not listened to.

        It waits for the disk, or for another terminal that is suspended while it stores (2 s).
        """
        self._closed = True
        self._storing.shutdown()
        self._recorder.close()

    def _on_frame(self, frame: Frame, payload: bytes) -> None:
        """In the listening thread: decode, and pass on. Everything takes the same way, so the order stays."""
        if self._closed:
            return
        post = self._loop.call_soon_threadsafe
        if frame is Frame.EVENTS:
            batch = events(payload)
            if self._identities.in_order:
                self._brought = time.monotonic()
            self._next(self._store, batch, self._identities.of(event.content for event in batch))
        elif frame is Frame.OPENED:
            opened = LogOpened(**unpack_json(payload))
            self._identities, self._broken = DedupKeys(opened.segments), False
            # Waited for: the loop hears of it next (Lane), and must have heard before of all that was read before.
            self._next(self._recorder.opened, opened).result()
        elif frame is Frame.CAUGHT_UP:
            self._next(post, self._caught_up)
        elif frame is Frame.STUCK:
            self._next(post, self._listener.stuck, unpack_json(payload)["passable"])

    def _next(self, work: Callable[..., object], *values: object) -> Future[None]:
        """Do it in the storing thread, after all that was to be done before."""

        def job() -> None:
            if self._broken:
                return  # what stands behind a batch that failed would be taken for all there is
            try:
                work(*values)
            except Exception as error:
                self._broken = True
                if self._loop.is_closed():
                    return
                _log.exception("what was read can't be used")
                if self._failed_before:  # a new worker was of no use
                    report(self._loop, error)
                self._failed_before = True
                self._loop.call_soon_threadsafe(self.lane.replace)

        return self._storing.submit(job)

    def _settle(self) -> None:
        """In the listening thread, after a worker's last frame: its successor begins where this one's events end."""
        with contextlib.suppress(RuntimeError):  # we are leaving: there is no successor
            self._next(lambda: None).result()

    def _store(self, batch: Sequence[Event], keys: Sequence[bytes]) -> None:
        fresh = self._recorder.store(batch, keys)
        self._failed_before = False
        _, ends, _, contents = zip(*batch, strict=True)
        self._loop.call_soon_threadsafe(self._take, list(map(DecodedEvent, ends, contents, keys, fresh)))

    def _opened(self, fields: dict[str, Any]) -> None:
        if fields["segments"] == 1:
            self._groups.one_made()
        self._listener.opened(LogOpened(**fields))

    def _caught_up(self) -> None:
        self._listener.caught_up()
        if self._deleting is None or self._deleting.done():
            self._deleting = asyncio.create_task(self._delete_left_over())

    async def _delete_left_over(self) -> None:
        """Delete the groups of earlier lives, in a process of its own: reading never waits for that."""
        await asyncio.sleep(DELETED_AFTER)
        names, controller = self._groups.left_over()[:DELETED_AT_ONCE], self.lane.controller
        if not (names and controller and self.lane.opened):
            return  # the next life of the worker comes by here too
        with contextlib.suppress(OSError, RuntimeError):  # no more processes or memory: later, then
            if await clean(controller, self._stream.scope, names, subprocess.DEVNULL, within=DELETED_WITHIN):
                self._groups.forget(names)

    def _take(self, batch: list[DecodedEvent]) -> None:
        if self._closed:
            return  # it is stored, and the next start shows it
        worker = self.lane.process
        self._drawing += 1

        def drawn() -> None:
            self._drawing -= 1
            if worker is self.lane.process:  # its successor did not bring this
                self.lane.send(pack(Frame.TAKEN))

        self._listener.arrived(batch, drawn)


def events(payload: bytes) -> list[Event]:
    """Decode an EVENTS frame."""
    offsets, datas = zip(*unpack_events(payload), strict=True)
    ends = [offset + HEAD_BYTES + len(data) for offset, data in zip(offsets, datas, strict=True)]
    return list(map(Event, offsets, ends, datas, map(decode, datas, offsets)))
