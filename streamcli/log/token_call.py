"""Asks a controller over HTTP/2, without the client library, whether this account may use that stream.

The call is getDelegationToken, which the library itself makes before it reads or writes. The controller checks it
against account and right, needs no other part of the server, and answers in some ms (some 25 with a password, which the
server hashes slowly on purpose).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streamcli.model.address import Controller, Stream

if TYPE_CHECKING:
    from h2.events import Event

OK, DENIED, UNAUTHENTICATED = "0", "7", "16"  # gRPC status codes
SETTINGS = 4
_HEADER_BYTES = 9
_PATH = "/io.pravega.controller.stream.api.grpc.v1.ControllerService/getDelegationToken"
_READ_WRITE = b"\x18\x05"  # field 3, an enum: the library requires both, even if it only reads
_PIECE = 1 << 16


class Stranger(Exception):
    """The peer speaks another protocol."""


async def ask(
    controller: Controller, stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> str:
    """Return the answer's gRPC status, "" if it has none; raises Stranger, OSError and IncompleteReadError.

    The account is sent only after the peer has spoken HTTP/2.
    """
    # Imported only when needed: a prompt without a server does not need it.
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.exceptions import ProtocolError

    talk = H2Connection(H2Configuration(client_side=True))
    talk.initiate_connection()
    writer.write(talk.data_to_send())
    try:
        piece = await reader.readexactly(_HEADER_BYTES)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Stranger from None
        raise
    if piece[3] != SETTINGS:
        raise Stranger
    try:
        talk.send_headers(1, _headers(controller))
        talk.send_data(1, _request(stream), end_stream=True)
        while (status := _status(talk.receive_data(piece))) is None:
            writer.write(talk.data_to_send())
            piece = await reader.read(_PIECE)
            if not piece:
                raise asyncio.IncompleteReadError(b"", None)
    except ProtocolError:
        raise Stranger from None
    return status


def _headers(controller: Controller) -> list[tuple[str, str]]:
    headers = [
        (":method", "POST"),
        (":scheme", "https" if controller.tls else "http"),
        (":path", _PATH),
        (":authority", f"{controller.host}:{controller.port}"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    if login := controller.login:
        headers.append(("authorization", f"Basic {login.basic}"))
    return headers


def _request(stream: Stream) -> bytes:
    """Encode StreamInfo as protobuf in gRPC's frame; no name of the server is longer than 127 bytes."""
    names = (stream.scope.encode(), stream.stream.encode())
    body = b"".join(bytes([number << 3 | 2, len(name)]) + name for number, name in enumerate(names, 1)) + _READ_WRITE
    return b"\0" + len(body).to_bytes(4, "big") + body


def _status(events: list[Event]) -> str | None:
    """Return the status once the answer is complete, else None; the server echoes our headers, which are ignored."""
    from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

    over, status = False, b""
    for event in events:
        if isinstance(event, (ResponseReceived, TrailersReceived)):
            status = dict(event.headers or ()).get(b"grpc-status", status)
        over = over or isinstance(event, (StreamEnded, StreamReset, ConnectionTerminated))
    return status.decode("ascii", "replace") if over else None
