"""Is a Pravega controller there? Asked with a plain socket, never with the client library, which freezes for a minute.

A controller speaks gRPC, so HTTP/2: it answers the connection preface with a SETTINGS frame. A port that accepts but
says nothing is a black hole or a stopped process (the kernel accepts for it); one that says something else is a
stranger.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from enum import Enum

from streamcli.address import Controller

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS = 4
_HEADER_BYTES = 9


class Answer(Enum):
    """What was found; the value completes the sentence "the server …"."""

    WELL = "answers"
    REFUSED = "is not there: nobody listens on that port"
    SILENT = "does not answer"
    STRANGER = "is no Pravega controller: something else listens there"
    UNKNOWN_HOST = "can't be found: its host name is unknown"
    UNREACHABLE = "can't be reached over the network"


async def probe(controller: Controller, timeout: float) -> Answer:
    """Ask ``controller`` for a sign of life and wait at most ``timeout`` seconds; never raises for a bad server."""
    try:
        return await asyncio.wait_for(_ask(controller), timeout)
    except (asyncio.TimeoutError, TimeoutError):
        return Answer.SILENT
    except ConnectionRefusedError:
        return Answer.REFUSED
    except socket.gaierror:
        return Answer.UNKNOWN_HOST
    except (ConnectionError, asyncio.IncompleteReadError):
        return Answer.SILENT
    except OSError:
        return Answer.UNREACHABLE
    except UnicodeError:
        return Answer.UNKNOWN_HOST  # no host name at all


async def _ask(controller: Controller) -> Answer:
    reader, writer = await _connect(await _addresses(controller), controller.port)
    try:
        writer.write(_PREFACE)
        header = await reader.readexactly(_HEADER_BYTES)
        return Answer.WELL if header[3] == _SETTINGS else Answer.STRANGER
    except asyncio.IncompleteReadError as error:
        if error.partial:
            return Answer.STRANGER
        raise
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _connect(addresses: list[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The first of ``addresses`` that takes the connection; raises what the last of them said."""
    *others, last = addresses
    for address in others:
        with contextlib.suppress(OSError):
            return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(last, port)


async def _addresses(controller: Controller) -> list[str]:
    """The host's addresses, looked up in a thread that nobody waits for.

    The loop's own look-up would be waited for at the program's end, and a name server can be silent for half a minute.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def tell(error: Exception | None, addresses: list[str]) -> None:
        if found.done():
            return
        if error:
            found.set_exception(error)
        else:
            found.set_result(addresses)

    def look_up() -> None:
        error: Exception | None = None
        addresses: list[str] = []
        try:
            infos = socket.getaddrinfo(controller.host, controller.port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except Exception as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the program has ended meanwhile
            loop.call_soon_threadsafe(tell, error, addresses)

    threading.Thread(target=look_up, name="name-lookup", daemon=True).start()
    return await found
