"""`GateLog`: a log through somebody else's gate. See `streamcli.log.api.Log`.

One connection serves both directions, so that a network that forgets idle connections can't cut off one of them. The
gate sends a heartbeat each second and is answered; a connection on which nothing arrives is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from streamcli.log.api import AppendListener, ConnectionStatus, Phase, ReadListener, ReadMode
from streamcli.log.frames import Frame, Received, pack, pack_json
from streamcli.log.gate.connection import GateConnection, connect, worded
from streamcli.log.gate.gate_frames import Failure, Place, failure_of, places_of, status_of
from streamcli.log.gate.sides import Appending, Reading
from streamcli.log.gate.tls import VERSION, guest_context
from streamcli.model.joined_chat import JoinedChat
from streamcli.saved_chats import save_chat
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.guard import start_thread

_log = logging.getLogger(__name__)

MOST_PLACES: Final = 8


@dataclass(frozen=True)
class Patience:
    """Seconds: between looks at the connection, of silence before that is said, before it is replaced, and pauses."""

    look: float = 1.0
    silent_after: float = 3.0
    replaced_after: float = 8.0
    due_after: float = 10.0  # for what the gate owes us, while it is well
    back_off: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0, 2.0)
    refused: float = 5.0  # nothing changes until a person acts


class GateLog:
    """The log of a chat that was joined."""

    def __init__(
        self,
        chat: JoinedChat,
        on_status: Callable[[ConnectionStatus], None],
        clock: Clock = SYSTEM,
        patience: Patience = Patience(),
    ) -> None:
        """``on_status`` is called in the loop whenever the connection's status changes. Raises FileTrouble."""
        self._chat, self._on_status, self._now, self._patience = chat, on_status, clock.monotonic, patience
        self._context = guest_context(chat)
        self._places = chat.places
        self._loop = asyncio.get_running_loop()
        self._reading: Reading | None = None
        self._appending: Appending | None = None
        self._connection: GateConnection | None = None
        self._gate = ConnectionStatus(Phase.CONNECTING)  # how the gate's own connection is
        self._status = ConnectionStatus(Phase.CONNECTING, since=self._now())
        self._trouble = ""  # why there is no connection
        self._refused = False
        self._ended: asyncio.Event | None = None  # of the connection
        self._killed = asyncio.Event()

    def read(self, listener: ReadListener, mode: ReadMode) -> Reading:
        """Start reading for ``listener``; the gate alone decides what is left on the server."""
        self._reading = Reading(listener, self._send, self.replace)
        return self._reading

    def append_for(self, listener: AppendListener) -> Appending:
        """Start appending for ``listener``."""
        self._appending = Appending(listener, self._send, self.replace)
        return self._appending

    async def run(self) -> None:
        """Connect again and again, until `kill`."""
        failures = 0
        while not self._killed.is_set():
            if await self._one_connection():
                failures = 0
            pause = self._patience.refused if self._refused else self._patience.back_off[failures]
            failures = min(failures + 1, len(self._patience.back_off) - 1)
            self._say()
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._killed.wait(), pause)

    def kill(self) -> None:
        """End permanently."""
        self._killed.set()
        self.replace()

    def replace(self) -> None:
        """End the connection, so that the next one begins."""
        self._close_sides()
        if self._connection:
            self._connection.kill()
        self._say()

    async def clean(self) -> None:
        """Nothing is left on the server by a guest."""

    def close(self) -> None:
        """There are no files."""

    @property
    def reads_as(self) -> str:
        """The place of the gate, which reads for us."""
        host, port = self._places[0]
        return f"{host}:{port}"

    async def _one_connection(self) -> bool:
        """Connect, and serve the connection until its end; return whether it was open."""
        connecting = asyncio.create_task(connect(self._places, self._context, self._new_connection))
        killed = asyncio.create_task(self._killed.wait())
        await asyncio.wait({connecting, killed}, return_when=asyncio.FIRST_COMPLETED)
        killed.cancel()
        if not connecting.done():
            connecting.cancel()
            await asyncio.wait({connecting})
            return False
        try:
            connection, place = connecting.result()
        except OSError as error:
            if not self._refused:  # who was removed is told that until the gate lets them in again
                self._trouble = f"the gate can't be reached: {worded(error)}"
            return False
        self._places = (place, *(other for other in self._places if other != place))
        return await self._serve(connection)

    def _new_connection(self) -> GateConnection:
        connection = GateConnection(lambda received: self._on_frame(connection, received), self._on_end, self._now)
        return connection

    async def _serve(self, connection: GateConnection) -> bool:
        self._connection, self._ended = connection, asyncio.Event()
        read = self._reading.request() if self._reading else None
        connection.send(pack_json(Frame.START, version=VERSION, read=read, write=bool(self._appending)))
        connection.start()
        was_open = False
        while not self._ended.is_set():
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self._patience.look)
            was_open = was_open or self._is_open
            if self._is_overdue(connection.heard):
                self.replace()
            self._say()
        self._connection = None
        self._close_sides()
        return was_open

    @property
    def _is_open(self) -> bool:
        sides = [side for side in (self._reading, self._appending) if side]
        return bool(self._connection) and all(side.is_open for side in sides)

    def _is_overdue(self, heard: float) -> bool:
        now = self._now()
        if now - heard > self._patience.replaced_after:
            self._trouble = "the gate does not answer"
            return True
        if self._gate.phase is not Phase.LIVE or not self._is_open:
            return False
        dues = [side.due_since(heard) for side in (self._reading, self._appending) if side]
        return any(due is not None and now - due > self._patience.due_after for due in dues)

    # In the connection's thread.

    def _on_frame(self, connection: GateConnection, received: Received) -> None:
        kind = received.kind
        if kind is Frame.IDLE:
            self._post(connection, self._send, pack(Frame.IDLE))
        elif kind is Frame.WELCOME:
            self._post(connection, self._learn, places_of(received))
        elif kind is Frame.STATUS:
            self._post(connection, self._gate_is, status_of(received))
        elif kind is Frame.FAILED:
            self._post(connection, self._failed, failure_of(received))
        elif kind in (Frame.WRITABLE, Frame.WRITTEN, Frame.REJECTED) and self._appending:
            self._post(connection, self._appending.on_frame(received))
        elif self._reading:
            self._reading.on_frame(received)
        if kind in (Frame.WRITABLE, Frame.OPENED):
            self._post(connection, self._say)

    def _on_end(self, trouble: str) -> None:
        if self._reading:
            self._reading.on_end()
        with contextlib.suppress(RuntimeError):  # the program ends
            self._loop.call_soon_threadsafe(self._end, trouble)

    def _post(self, connection: GateConnection, what: Callable[..., None], *values: object) -> None:
        """In the loop: call ``what`` unless the connection was replaced by then."""

        def call() -> None:
            if connection is self._connection and not connection.is_killed:
                what(*values)

        self._loop.call_soon_threadsafe(call)

    # In the loop.

    def _end(self, trouble: str) -> None:
        killed = self._connection is None or self._connection.is_killed
        if not self._refused and (trouble or not killed):
            self._trouble = trouble or "the gate has closed the connection"
        if self._ended:
            self._ended.set()

    def _gate_is(self, status: ConnectionStatus) -> None:
        self._gate = status
        self._say()

    def _failed(self, failure: Failure) -> None:
        self._trouble, self._refused = failure
        self._say()

    def _send(self, frame: bytes) -> None:
        if self._connection:
            self._connection.send(frame)

    def _learn(self, places: list[Place]) -> None:
        """We are let in: keep the gate's addresses for the next time, the one that works first."""
        self._trouble, self._refused = "", False
        known = tuple(dict.fromkeys((self._places[0], *places, *self._places)))[:MOST_PLACES]
        if known != self._chat.places:
            self._chat = replace(self._chat, places=known)
            start_thread(partial(save_chat, self._chat), "save the chat")
        self._places = known
        self._say()

    def _close_sides(self) -> None:
        for side in (self._reading, self._appending):
            if side:
                side.is_open = False

    def _say(self) -> None:
        status = self._current()
        if status != replace(self._status, since=status.since):
            since = self._status.since if status.phase is self._status.phase else self._now()
            self._status = replace(status, since=since)
            _log.info("%s %s", status.phase.value, status.words)
            self._on_status(self._status)

    def _current(self) -> ConnectionStatus:
        if self._refused or not self._connection:
            return ConnectionStatus(Phase.CONNECTING, self._trouble, refused=self._refused)
        if self._is_open:
            if self._now() - self._connection.heard > self._patience.silent_after:
                return ConnectionStatus(Phase.STALLED, "the gate does not answer")
            if self._gate.phase is Phase.LIVE:
                return ConnectionStatus(Phase.LIVE)
            return ConnectionStatus(Phase.STALLED, self._gate.words)
        return ConnectionStatus(Phase.CONNECTING, self._gate.words if self._gate.phase is not Phase.LIVE else "")
