"""Is a Pravega controller there? Asked with a plain socket, never with the client library, which freezes for a minute.

A controller speaks gRPC, so HTTP/2: it answers the connection preface with a SETTINGS frame. A port that accepts but
says nothing is a black hole or a stopped process (the kernel accepts for it); one that says something else is a
stranger.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
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
    except ConnectionError:
        return Answer.SILENT
    except OSError:
        return Answer.UNREACHABLE
    except (asyncio.IncompleteReadError, UnicodeError):
        return Answer.STRANGER


async def _ask(controller: Controller) -> Answer:
    reader, writer = await asyncio.open_connection(controller.host, controller.port)
    try:
        writer.write(_PREFACE)
        header = await reader.readexactly(_HEADER_BYTES)
        return Answer.WELL if header[3] == _SETTINGS else Answer.STRANGER
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
