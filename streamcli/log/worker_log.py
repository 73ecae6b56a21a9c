"""`WorkerLog`: a log through worker programs, which one of the clients runs: the wheel, or Pravega's Java client."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import IO, Any, Protocol

from streamcli.errors import StreamcliError, Unreachable
from streamcli.log.api import AppendListener, ConnectionStatus, ReadListener, ReadMode, Target
from streamcli.log.channel import Channel, WorkerEvents
from streamcli.log.frames import Frame, Received, pack, pack_writes, unpack_count, unpack_json
from streamcli.log.located import located_events
from streamcli.log.supervisor import Supervisor, asking
from streamcli.log.worker_slot import WorkerSlot
from streamcli.model.address import Controller
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.segment import segment_name
from streamcli.system.guard import post, start_thread

TRIALS = 3  # read workers of a better client that may fail before the first one opens the log
# Failures that are the server's: another client would meet them as well.
_OF_THE_SERVER = ("away", "denied", "gone", "password", "sealed")
_log = logging.getLogger(__name__)


class Client(Protocol):
    """Runs the workers of one log. All calls are for the loop's thread."""

    @property
    def reads_as(self) -> str:
        """The server's name for the reader; "" if it has none."""

    def read(self, mode: ReadMode) -> None:
        """Prepare for reading. Raises CannotCreate or FileTrouble."""

    def start_reader(
        self, cursor: Cursor | None, to: Controller, log: IO[bytes] | int, events: WorkerEvents
    ) -> Channel:
        """Start a worker that reads from ``cursor`` on, or from the end. Raises OSError."""

    def start_writer(self, to: Controller, log: IO[bytes] | int, events: WorkerEvents) -> Channel:
        """Start a worker that appends. Raises OSError."""

    def beats(self, caught_up: bool) -> bool:
        """Whether the read worker sends heartbeats while nothing arrives."""

    def opened(self, opened: LogOpened) -> None:
        """The read worker has opened the stream."""

    def caught_up(self, to: Controller) -> None:
        """The read worker has delivered the past."""

    def kill(self) -> None:
        """End all that runs beside the workers."""

    async def clean(self, to: Controller) -> None:
        """Delete on the server what the `ReadMode` demands. Raises OSError and RuntimeError."""

    def close(self) -> None:
        """Close the files."""


class WorkerLog:
    """One stream, read and appended to by a worker each. See `streamcli.log.api.Log`."""

    def __init__(
        self,
        target: Target,
        client: Client,
        on_status: Callable[[ConnectionStatus], None],
        better: Callable[[], Client] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_status`` is called in the loop whenever the connection's status changes.

        ``better`` makes the client to go on with if the stream turns out to have several segments whose offsets
        ``client`` does not know. It is called in a thread, and raises StreamcliError if there is no such client. If the
        better client then never gets to open the log, the log goes on with ``client``.
        """
        self.client, self.better, self.now = client, better, now
        self._before: Client | None = None  # the client to go back to, until the better one has opened the log
        self._trials = 0  # read workers of the better client so far
        self._target, self._clients = target, [client]
        self._slots: list[WorkerSlot] = []
        ask, log = asking(target.stream), target.worker_log
        self._supervisor = Supervisor(target.locate, self._slots, ask, on_status, log, now=now)
        self._reading: _Reading | None = None
        self._mode = ReadMode.FOLLOW
        self._loop = asyncio.get_running_loop()

    def read(self, listener: ReadListener, mode: ReadMode) -> _Reading:
        """Start reading for ``listener``. Call once, before `run`."""
        self.client.read(mode)
        self._mode = mode
        self._reading = _Reading(self, listener)
        self._slots.append(self._reading.slot)
        return self._reading

    def append_for(self, listener: AppendListener) -> _Appending:
        """Start appending for ``listener``. Call once, before `run`."""
        appending = _Appending(self, listener)
        self._slots.append(appending.slot)
        return appending

    async def run(self) -> None:
        """Keep the workers alive until `kill`."""
        await self._supervisor.run()

    def kill(self) -> None:
        """End all workers permanently."""
        self._supervisor.kill()
        for client in self._clients:
            client.kill()

    async def clean(self) -> None:
        """Delete what an ephemeral reader left on the server."""
        if self._reading and self._reading.slot.lives:
            with contextlib.suppress(Unreachable, OSError, RuntimeError):
                to = self._reading.slot.controller or self._target.locate()
                for client in self._clients:
                    await client.clean(to)

    def close(self) -> None:
        """Close the files."""
        for client in self._clients:
            client.close()

    @property
    def reads_as(self) -> str:
        """The server's name for the reader; "" if it has none."""
        return self.client.reads_as

    def go_on_better(self) -> None:
        """In any thread: replace all workers by those of the better client, or the reader if there is none."""
        make, self.better = self.better, None
        assert make

        def find() -> None:
            client = None
            try:
                client = make()
            except StreamcliError as error:
                _log.warning("going on without offsets: %s", error)
            post(self._loop, self._go_on_with, client)

        post(self._loop, start_thread, find, "client")

    def _go_on_with(self, client: Client | None) -> None:
        if client:
            client.read(self._mode)
            self._before, self.client = self.client, client
            self._clients.append(client)
        for slot in self._slots if client else [slot for slot in self._slots if slot is self._reading_slot]:
            slot.replace()

    def read_worker_starts(self, trouble: str) -> None:
        """Go back from a better client whose read workers have only failed; ``trouble`` is the last failure's kind."""
        if self._before is None or trouble in _OF_THE_SERVER:
            return
        self._trials += 1
        if self._trials > TRIALS:
            self._go_back(f"it has not opened the log {TRIALS} times")

    def read_worker_opened(self) -> None:
        """The client in use can read the log: from now on only it knows what was read."""
        self._before = None

    def kept_going(self, events: WorkerEvents) -> WorkerEvents:
        """Return ``events`` for a worker, with which the log goes back if the better client can't be used here."""
        if self._before is None:
            return events

        def frame(received: Received) -> None:
            if received.kind is Frame.FAILED and (why := unpack_json(received.payload))["kind"] == "unusable":
                post(self._loop, self._go_back, why["text"])
            else:
                events.frame(received)

        return replace(events, frame=frame)

    def _go_back(self, why: str) -> None:
        if self._before is None:
            return  # the other worker has said it too, or the read worker had just opened
        _log.warning("the client for several segments can't be used, going on without offsets: %s", why)
        unusable, self.client, self._before = self.client, self._before, None
        for slot in self._slots:
            if slot.worker:
                slot.replace()
        unusable.kill()

    @property
    def _reading_slot(self) -> WorkerSlot | None:
        return self._reading.slot if self._reading else None


class _Reading:
    """The reading connection: a read worker."""

    def __init__(self, owner: WorkerLog, listener: ReadListener) -> None:
        self._owner, self._listener = owner, listener
        self._log_id, self._exact = "", False  # whether offsets are known
        self._caught_up = self._ignored = False
        self._loop = asyncio.get_running_loop()
        self.slot = WorkerSlot(
            "read worker", self._start, self._on_frame, self._due_since, self._opened, listener.ended, now=owner.now
        )

    @property
    def is_open(self) -> bool:
        return self.slot.opened

    def replace(self) -> None:
        self.slot.replace()

    def _start(self, to: Controller, log: IO[bytes] | int, events: WorkerEvents) -> Channel:
        self._caught_up = self._ignored = False
        self._owner.read_worker_starts(self.slot.trouble.get("kind", ""))
        return self._owner.client.start_reader(self._listener.cursor(), to, log, self._owner.kept_going(events))

    def _due_since(self, last_sign: float) -> float | None:
        beats = self._owner.client.beats(self._caught_up)
        return self._listener.due_since(last_sign) if beats and not self._ignored else None

    def _on_frame(self, received: Received) -> None:
        """Called in the thread that listens to the worker."""
        kind, payload, _ = received
        if self._ignored:
            return
        if kind is Frame.EVENTS:
            number, batch = located_events(payload)
            segment = segment_name(self._log_id, number) if self._exact else ""
            self._listener.events(segment, batch, self._taken(self.slot.lives))
        elif kind is Frame.OPENED:
            opened = LogOpened(**unpack_json(payload))
            self._log_id, self._exact = opened.log, bool(opened.starts)
            if not self._exact and self._owner.better:
                self._ignored = True
                self._owner.go_on_better()
            else:
                self._listener.connected(opened)
        elif kind is Frame.CAUGHT_UP:
            self._caught_up = True
            self._listener.caught_up()
            self._loop.call_soon_threadsafe(self._tell_caught_up)
        elif kind is Frame.STUCK:
            self._listener.stuck(unpack_json(payload)["passable"])

    def _taken(self, life: int) -> Callable[[], None]:
        def taken() -> None:
            if life == self.slot.lives:  # not if a later worker runs: it did not send these
                self.slot.send(pack(Frame.TAKEN))

        return taken

    def _opened(self, fields: dict[str, Any]) -> None:
        opened = LogOpened(**fields)
        self._owner.client.opened(opened)
        if not self._ignored:
            self._owner.read_worker_opened()
            self._listener.opened(opened)

    def _tell_caught_up(self) -> None:
        if self.slot.controller and self.slot.opened:
            self._owner.client.caught_up(self.slot.controller)


class _Appending:
    """The appending connection: a write worker."""

    def __init__(self, owner: WorkerLog, listener: AppendListener) -> None:
        self._owner, self._listener = owner, listener
        self._loop = asyncio.get_running_loop()
        self.slot = WorkerSlot(
            "write worker", self._start, self._on_frame, listener.due_since, self._opened, now=owner.now
        )

    @property
    def is_open(self) -> bool:
        return self.slot.opened

    def replace(self) -> None:
        self.slot.replace()

    def append(self, routing_key: str, datas: list[bytes]) -> None:
        if self.slot.opened:
            self.slot.send(pack_writes(routing_key, datas))

    def _start(self, to: Controller, log: IO[bytes] | int, events: WorkerEvents) -> Channel:
        return self._owner.client.start_writer(to, log, self._owner.kept_going(events))

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
