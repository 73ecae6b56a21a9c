"""`WheelLog`: a log through the package ``pravega``, which only worker processes load."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable
from typing import Any, Protocol

from streamcli.errors import Unreachable
from streamcli.log.api import AppendListener, ConnectionStatus, Event, ReadListener, ReadMode, Target
from streamcli.log.frames import Frame, Received, pack, pack_writes, unpack_count, unpack_events, unpack_json
from streamcli.log.raw_events import HEAD_BYTES
from streamcli.log.supervisor import Supervisor, asking
from streamcli.log.wheel.cleaning import clean
from streamcli.log.wheel.groups import GroupNames, head_group
from streamcli.log.wheel.requests import ReadRequest, WriteRequest
from streamcli.log.worker_slot import WorkerSlot
from streamcli.model.address import Controller, Stream
from streamcli.model.cursor import LogOpened
from streamcli.model.names import reader_group
from streamcli.model.segment import segment_name

READ_MODULE = "streamcli.log.wheel.read_worker"
WRITE_MODULE = "streamcli.log.wheel.write_worker"
DELETED_AT_ONCE = 20  # groups of earlier runs
DELETED_AFTER = 5.0  # seconds of reading, so that it does not delay what the user waits for
DELETED_WITHIN = 30.0  # seconds; a busy durable server takes up to one for each


class _Names(Protocol):
    """A source of reader group names."""

    def next(self) -> str: ...

    def one_made(self) -> None: ...

    def left_over(self) -> list[str]: ...

    def forget(self, names: list[str]) -> None: ...

    def close(self) -> None: ...


class _EphemeralNames:
    """Names that no file records: the groups are deleted before the program ends, or by the next worker."""

    def __init__(self, owner: str, purpose: str, stream: Stream) -> None:
        self._owner, self._purpose, self._stream = owner, purpose, stream
        self.current = ""
        self._old: list[str] = []
        self._one = False

    def next(self) -> str:
        self._old, self._one = self.names(), False
        self.current = reader_group(self._owner, f"{self._purpose}.{os.urandom(6).hex()}", self._stream.stream)
        return self.current

    def names(self) -> list[str]:
        """Return the groups that may exist."""
        return [self.current, *([] if self._one else [head_group(self.current)])] if self.current else []

    def one_made(self) -> None:
        self._one = True

    def left_over(self) -> list[str]:
        return self._old

    def forget(self, names: list[str]) -> None:
        self._old = [name for name in self._old if name not in names]

    def close(self) -> None:
        pass


class WheelLog:
    """One stream, read and appended to by a worker process each. See `streamcli.log.api.Log`."""

    def __init__(self, target: Target, on_status: Callable[[ConnectionStatus], None]) -> None:
        """``on_status`` is called in the loop whenever the connection's status changes."""
        self._target = target
        self._slots: list[WorkerSlot] = []
        self._supervisor = Supervisor(target.locate, self._slots, asking(target.stream), on_status, target.worker_log)
        self._reading: _Reading | None = None

    def read(self, listener: ReadListener, mode: ReadMode) -> _Reading:
        """Start reading for ``listener``. Call once, before `run`."""
        self._reading = _Reading(self._target, listener, mode)
        self._slots.append(self._reading.slot)
        return self._reading

    def append_for(self, listener: AppendListener) -> _Appending:
        """Start appending for ``listener``. Call once, before `run`."""
        appending = _Appending(self._target.stream, listener)
        self._slots.append(appending.slot)
        return appending

    async def run(self) -> None:
        """Keep the workers alive until `kill`."""
        await self._supervisor.run()

    def kill(self) -> None:
        """End all workers permanently."""
        self._supervisor.kill()

    async def clean(self) -> None:
        """Delete what an ephemeral reader left on the server."""
        if self._reading:
            await self._reading.clean(self._target.locate)

    def close(self) -> None:
        """Close the files."""
        if self._reading:
            self._reading.close()

    @property
    def reads_as(self) -> str:
        """The name of the reader group."""
        return self._reading.group if self._reading else ""


class _Reading:
    """The reading connection: a read worker and its reader groups."""

    def __init__(self, target: Target, listener: ReadListener, mode: ReadMode) -> None:
        self._stream, self._listener, self._mode, self._log = target.stream, listener, mode, target.worker_log
        self._names: _Names = (
            GroupNames(target.folder, target.owner, target.stream)
            if mode is ReadMode.FOLLOW
            else _EphemeralNames(target.owner, mode.value, target.stream)
        )
        self.group = ""
        self._segments, self._log_id, self._exact = 0, "", False
        self._loop = asyncio.get_running_loop()
        self._deleting: asyncio.Task[None] | None = None
        self._caught_up = False
        self.slot = WorkerSlot(
            READ_MODULE, self._request, self._on_frame, self._due_since, self._opened, listener.ended
        )

    @property
    def is_open(self) -> bool:
        return self.slot.opened

    def replace(self) -> None:
        self.slot.replace()

    async def clean(self, locate: Callable[[], Controller]) -> None:
        if self._mode is ReadMode.FOLLOW or not self.group:
            return
        # With one segment whose bytes can be read, the group is already deleted.
        names = [self.group, head_group(self.group)] if self._segments > 1 or self._mode is ReadMode.TRIAL else []
        stream = self._stream.stream if self._mode is ReadMode.TRIAL else ""
        if names or stream:
            with contextlib.suppress(Unreachable, OSError, RuntimeError):
                await clean(self.slot.controller or locate(), self._stream.scope, names, self._log, stream=stream)

    def close(self) -> None:
        self._names.close()

    def _request(self) -> ReadRequest:
        cursor = self._listener.cursor()
        self.group, self._caught_up = self._names.next(), False
        return ReadRequest(
            scope=self._stream.scope,
            stream=self._stream.stream,
            group=self.group,
            head_group=head_group(self.group),
            # Ephemeral readers delete at once. All others begin to read first: deleting takes seconds.
            old_groups=[] if self._mode is ReadMode.FOLLOW else self._names.left_over(),
            offsets=dict(cursor.offsets),
            last=(*cursor.last[:2], cursor.last[2].hex()) if cursor.last else None,
            trace=self._mode is not ReadMode.LOOK,
        )

    def _due_since(self, last_sign: float) -> float | None:
        if self._mode is ReadMode.LOOK and self._caught_up:
            return None  # the library waits for bytes, without heartbeats
        return self._listener.due_since(last_sign)

    def _on_frame(self, received: Received) -> None:
        """Called in the thread that listens to the worker."""
        kind, payload, _ = received
        if kind is Frame.EVENTS:
            number, batch = events(payload)
            segment = segment_name(self._log_id, number) if self._exact else ""
            self._listener.events(segment, batch, self._taken(self.slot.lives))
        elif kind is Frame.OPENED:
            opened = LogOpened(**unpack_json(payload))
            self._segments, self._log_id, self._exact = opened.segments, opened.log, bool(opened.starts)
            self._listener.connected(opened)
        elif kind is Frame.CAUGHT_UP:
            self._caught_up = True
            self._listener.caught_up()
            if self._mode is ReadMode.FOLLOW:
                self._loop.call_soon_threadsafe(self._delete_soon)
        elif kind is Frame.STUCK:
            self._listener.stuck(unpack_json(payload)["passable"])

    def _taken(self, life: int) -> Callable[[], None]:
        def taken() -> None:
            if life == self.slot.lives:  # not if a later worker runs: it did not send these
                self.slot.send(pack(Frame.TAKEN))

        return taken

    def _opened(self, fields: dict[str, Any]) -> None:
        opened = LogOpened(**fields)
        if opened.segments == 1:
            self._names.one_made()
        self._listener.opened(opened)

    def _delete_soon(self) -> None:
        if self._deleting is None or self._deleting.done():
            self._deleting = asyncio.create_task(self._delete_left_over())

    async def _delete_left_over(self) -> None:
        """Delete the groups of earlier runs, in a process of its own, so that reading never waits for that."""
        await asyncio.sleep(DELETED_AFTER)
        names, controller = self._names.left_over()[:DELETED_AT_ONCE], self.slot.controller
        if not (names and controller and self.slot.opened):
            return  # the next worker comes back to this
        with contextlib.suppress(OSError, RuntimeError):  # no more processes or memory: later, then
            if await clean(controller, self._stream.scope, names, subprocess.DEVNULL, within=DELETED_WITHIN):
                self._names.forget(names)


class _Appending:
    """The appending connection: a write worker."""

    def __init__(self, stream: Stream, listener: AppendListener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        request = WriteRequest(stream.scope, stream.stream)
        self.slot = WorkerSlot(WRITE_MODULE, lambda: request, self._on_frame, listener.due_since, self._opened)

    @property
    def is_open(self) -> bool:
        return self.slot.opened

    def replace(self) -> None:
        self.slot.replace()

    def append(self, routing_key: str, datas: list[bytes]) -> None:
        if self.slot.opened:
            self.slot.send(pack_writes(routing_key, datas))

    def _opened(self, fields: dict[str, Any]) -> None:
        self._listener.opened(fields["log"])

    def _on_frame(self, received: Received) -> None:
        """Called in the thread that listens to the worker."""
        if received.kind is Frame.WRITTEN:
            self._loop.call_soon_threadsafe(self._listener.acknowledged, unpack_count(received.payload))
        elif received.kind is Frame.FAILED:
            kind = unpack_json(received.payload)["kind"]
            if kind in ("denied", "gone"):
                tell = self._listener.refused if kind == "denied" else self._listener.stream_gone
                self._loop.call_soon_threadsafe(tell)


def events(payload: bytes) -> tuple[int, list[Event]]:
    """Return the segment's number and the events of an EVENTS frame."""
    segment, pairs = unpack_events(payload)
    offsets, datas = zip(*pairs, strict=True)
    ends = [offset + HEAD_BYTES + len(data) for offset, data in zip(offsets, datas, strict=True)]
    return segment, list(map(Event, offsets, ends, datas))
