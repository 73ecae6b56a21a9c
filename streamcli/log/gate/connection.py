"""One TLS connection to a gate: bytes move in the loop, frames are handled in a thread of their own."""

from __future__ import annotations

import asyncio
import logging
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Sequence

from streamcli.log.frames import Received, Splitter
from streamcli.log.gate.tls import GATE_NAME
from streamcli.system.guard import post
from streamcli.system.look_up import addresses_of

NEXT_AFTER = 0.25  # seconds after which the next address is tried beside the one before
CONNECTS_WITHIN = 8.0  # seconds
_MAY_BE_UNREAD = 4 << 20  # bytes that wait for the thread: beyond, reading pauses

_log = logging.getLogger(__name__)


class GateConnection(asyncio.Protocol):
    """A connection. Frames go to ``on_frame`` in a thread, which calls ``on_end`` after the last one."""

    def __init__(
        self, on_frame: Callable[[Received], None], on_end: Callable[[str], None], now: Callable[[], float]
    ) -> None:
        """``on_end`` gets what has ended the connection, "" if nothing is known."""
        self._on_frame, self._on_end, self._now = on_frame, on_end, now
        self.heard = now()  # when the last bytes came: on a slow network a frame takes its time
        self._loop = asyncio.get_running_loop()
        self._pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._unread = 0
        self._transport: asyncio.Transport | None = None
        self._trouble = ""
        self.is_killed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the thread."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def start(self) -> None:
        """Begin to handle frames: of several connections that were tried, this is the one that is used."""
        threading.Thread(target=self._listen, name="gate", daemon=True).start()

    def data_received(self, data: bytes) -> None:
        """Pass it to the thread."""
        self.heard = self._now()
        self._pieces.put(data)
        self._unread += len(data)
        if self._unread > _MAY_BE_UNREAD and self._transport:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the thread end."""
        if exc and not self._trouble:
            self._trouble = f"the connection to the gate has broken: {worded(exc)}"
        self._pieces.put(None)

    def send(self, frame: bytes) -> None:
        """Send a frame, without waiting."""
        if self._transport and not self.is_killed:
            self._transport.write(frame)

    def kill(self) -> None:
        """End the connection at once."""
        self.is_killed = True
        if self._transport:
            self._transport.abort()

    def _listen(self) -> None:
        splitter = Splitter()
        try:
            while (piece := self._pieces.get()) is not None:
                for received in splitter.feed(piece):
                    if not self.is_killed:
                        self._on_frame(received)
                post(self._loop, self._was_read, len(piece))
        except Exception:
            if not self._loop.is_closed():
                _log.exception("what the gate said can't be used")
            self._trouble = "what the gate says can't be used"
            post(self._loop, self.kill)
        finally:
            self._on_end(self._trouble)

    def _was_read(self, count: int) -> None:
        self._unread -= count
        if self._unread <= _MAY_BE_UNREAD and self._transport and not self._transport.is_closing():
            self._transport.resume_reading()


async def connect(
    places: Sequence[tuple[str, int]], context: ssl.SSLContext, make: Callable[[], GateConnection]
) -> tuple[GateConnection, tuple[str, int]]:
    """Connect to the first place that answers, and return the place too; raises the most telling OSError.

    The places are tried in turn, each a moment after the one before: a packet to an address of another network may
    never be answered.
    """
    waiting = {asyncio.create_task(_one(place, context, make)): place for place in places[:1]}
    ahead = list(places[1:])
    failures: list[OSError] = []
    try:
        while waiting or ahead:
            timeout = NEXT_AFTER if ahead else None
            done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                place = waiting.pop(task)
                try:
                    return task.result(), place
                except OSError as error:
                    failures.append(error)
            if ahead:
                place = ahead.pop(0)
                waiting[asyncio.create_task(_one(place, context, make))] = place
        raise min(failures, key=_tells_little, default=OSError("no address is known"))
    finally:
        for task in waiting:
            task.add_done_callback(_drop)
            task.cancel()


def _tells_little(error: OSError) -> int:
    """Order errors: a name that can't be looked up says nothing of a gate that has other addresses too."""
    return isinstance(error, socket.gaierror) + isinstance(error, ssl.SSLError)


def _drop(task: asyncio.Task[GateConnection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().kill()


async def _one(place: tuple[str, int], context: ssl.SSLContext, make: Callable[[], GateConnection]) -> GateConnection:
    host, port = place
    loop = asyncio.get_running_loop()

    async def tried() -> GateConnection:
        for address in (addresses := await addresses_of(host, port)):
            try:
                _, made = await loop.create_connection(make, address, port, ssl=context, server_hostname=GATE_NAME)
                return made
            except OSError:
                if address == addresses[-1]:
                    raise
        raise OSError(f"{host} has no address")

    try:
        return await asyncio.wait_for(tried(), CONNECTS_WITHIN)
    except (asyncio.TimeoutError, TimeoutError):
        raise OSError(f"{host} does not answer") from None
    except UnicodeError:
        raise OSError(f"{host} is no host name") from None


def worded(error: BaseException) -> str:
    """Return what prevented a connection, as the end of a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "another server answers there"
    if isinstance(error, ssl.SSLError):
        return "what answers there is no gate, or not this one"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "nothing answers there"
    if isinstance(error, OSError):
        return error.strerror or str(error) or "what answers there has closed the connection"
    return str(error) or type(error).__name__
