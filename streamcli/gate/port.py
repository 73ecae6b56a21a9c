"""The gate's TCP port: accepts connections, counts strangers before TLS begins, and hands over who speaks TLS.

A stranger is whoever has not proved anything yet. Strangers cost memory, so there are few of them at any time, and each
has little time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from streamcli.errors import Unusable
from streamcli.log.gate.tls import JOIN_PROTOCOL, LOG_PROTOCOL, OWNER_PROTOCOL

PROTOCOLS: Final = (LOG_PROTOCOL, JOIN_PROTOCOL, OWNER_PROTOCOL)
HANDSHAKE_WITHIN: Final = 5.0  # seconds
_BACKLOG = 128
_LIMIT = 1 << 16  # bytes read ahead from each connection
_PAUSE = 0.1  # seconds, when the system has no more descriptors

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How many strangers there may be at a time, and how many of them from one address."""

    strangers: int = 64
    from_one_address: int = 16


USUAL_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Caller:
    """Who has connected by TLS: the address, the protocol asked for, and the certificate (DER) if one was shown.

    Call ``known`` when they are no stranger any more.
    """

    address: str
    protocol: str
    certificate: bytes | None
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    known: Callable[[], None]


class Port:
    """Listens, and hands over callers. All calls are for the loop's thread."""

    def __init__(
        self, context: ssl.SSLContext, talk: Callable[[Caller], Awaitable[None]], limits: Limits = USUAL_LIMITS
    ) -> None:
        """``talk`` is awaited for each caller; the connection ends with it."""
        context.set_alpn_protocols(list(PROTOCOLS))
        self._context, self._talk, self._limits = context, talk, limits
        self._talks: set[asyncio.Task[None]] = set()
        self._strangers: dict[asyncio.Task[None], str] = {}  # from where each is (`origin`), the oldest first

    async def serve(self, listening: Sequence[socket.socket]) -> None:
        """Accept connections until cancelled."""
        try:
            await asyncio.gather(*map(self._accept, listening))
        finally:
            for one in listening:
                one.close()
            for task in self._talks:
                task.cancel()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, where = await loop.sock_accept(listening)
            except OSError as error:
                _log.warning("no connection can be accepted: %s", error)
                await asyncio.sleep(_PAUSE)
                continue
            address = str(where[0]).removeprefix("::ffff:")
            self._make_room(origin(address))
            task = asyncio.create_task(self._serve(connection, address))
            self._talks.add(task)
            self._strangers[task] = origin(address)
            task.add_done_callback(partial(self._forget, connection))
            await asyncio.sleep(0)  # however many come, the loop serves others too

    def _make_room(self, place: str) -> None:
        """End the oldest stranger if there are too many: a guest is known after one round trip, an idler never."""
        from_there = [task for task, where in self._strangers.items() if where == place]
        if len(from_there) >= self._limits.from_one_address:
            oldest = from_there[0]
        elif len(self._strangers) >= self._limits.strangers:
            oldest = next(iter(self._strangers))
        else:
            return
        del self._strangers[oldest]
        oldest.cancel()

    def _forget(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        connection.close()  # a task that is cancelled early has not begun
        self._talks.discard(task)
        self._strangers.pop(task, None)

    async def _serve(self, connection: socket.socket, address: str) -> None:
        task = asyncio.current_task()

        def known() -> None:
            if task:
                self._strangers.pop(task, None)

        try:
            reader, writer = await _secured(connection, self._context)
        except (OSError, asyncio.CancelledError):
            return
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        protocol, certificate = tls.selected_alpn_protocol(), tls.getpeercert(True)
        try:
            if protocol is not None:
                await self._talk(Caller(address, protocol, certificate, reader, writer, known))
            await _ended(writer)
        except (OSError, asyncio.CancelledError):
            pass
        except Exception:
            _log.exception("a connection from %s ends", address)
        finally:
            writer.transport.abort()


def origin(address: str) -> str:
    """Return what counts as one address: of IPv6, half, since whoever has one has them all."""
    parsed = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((parsed.packed[:8] + bytes(8), 64))) if parsed.version == 6 else address


async def _secured(
    connection: socket.socket, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Perform the server's side of TLS."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does that for its own servers only
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(_LIMIT)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, connection, ssl=context, ssl_handshake_timeout=HANDSHAKE_WITHIN
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _ended(writer: asyncio.StreamWriter) -> None:
    """Let what was written go out, for a moment."""
    writer.close()
    with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), 1.0)


def listen(port: int) -> list[socket.socket]:
    """Return sockets that listen on ``port`` of all addresses. Raises Unusable if another program has it."""
    found = []
    try:
        for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            try:
                one = socket.socket(family, socket.SOCK_STREAM)
            except OSError:  # no IPv6 on this machine
                continue
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                one.bind((any_address, port))
            except OSError:
                one.close()
                if family is socket.AF_INET6:
                    continue
                raise
            one.listen(_BACKLOG)
            found.append(one)
    except OSError as error:
        for one in found:
            one.close()
        raise Unusable(
            f"Port {port} is taken by another program: invite with another one, --port N ({error.strerror})."
        ) from error
    return found
