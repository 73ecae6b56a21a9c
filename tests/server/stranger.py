"""What somebody without the password can try at the server's open ports, in the protocols spoken there.

Run as a program it is one attempt with Pravega's client, which freezes for a minute when it is refused.
"""

from __future__ import annotations

import http.client
import os
import socket
import struct
import sys
from typing import Any

CLIENT_ATTEMPTS = ("create scope", "create stream", "write", "read", "read with a group", "delete")
REST_ATTEMPTS = (
    ("GET", "/v1/scopes", None),
    ("GET", "/v1/scopes/scope/streams", None),
    ("POST", "/v1/scopes", '{"scopeName": "stranger"}'),
    ("DELETE", "/v1/scopes/scope/streams/stream", None),
    ("PUT", "/v1/scopes/scope/streams/stream/state", '{"streamState": "SEALED"}'),
)
HELLO, READ, CREATE, SEAL, TRUNCATE, DELETE = -127, 9, 20, 28, 38, 30  # types of the wire protocol
REFUSED = 60  # its AuthTokenCheckFailed
NEEDS_PASSWORD = -124  # ZooKeeper's error for a session without one


def segment_store(port: int, segment: str, token: str = "") -> dict[int, int]:
    """Read, create, seal, truncate and delete by hand-made commands; the type of each answer by that of the command."""
    name, key, new = _utf(segment), _utf(token), _utf("scope/stranger/0.#epoch.0")
    commands = {
        READ: name + struct.pack(">qi", 0, 1000) + key + struct.pack(">q", 1),
        CREATE: struct.pack(">q", 2) + new + struct.pack(">ib", 0, 0) + key + struct.pack(">q", 0),
        TRUNCATE: struct.pack(">q", 3) + name + struct.pack(">q", 8) + key,
        SEAL: struct.pack(">q", 4) + name + key,
        DELETE: struct.pack(">q", 5) + name + key,
    }
    answers = {}
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        _command(one, HELLO, struct.pack(">ii", 15, 5))
        for kind, payload in commands.items():
            answers[kind] = _command(one, kind, payload)
    return answers


def zookeeper(port: int) -> list[int]:
    """Error codes of listing the root, making a node in it, and deleting Pravega's; the list ends with the session."""
    errors: list[int] = []
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        _jute(one, struct.pack(">iqiqi", 0, 0, 10000, 0, 16) + bytes(17))
        everybody = struct.pack(">ii", 1, 31) + _text("world") + _text("anyone")
        for number, request in enumerate(
            (
                struct.pack(">i", 8) + _text("/") + b"\0",
                struct.pack(">i", 1) + _text("/stranger") + _text("x") + everybody + struct.pack(">i", 0),
                struct.pack(">i", 2) + _text("/stranger") + struct.pack(">i", -1),
            )
        ):
            try:
                answer = _jute(one, struct.pack(">i", number + 1) + request)
            except ConnectionError:
                break
            errors.append(struct.unpack(">i", answer[12:16])[0])
    return errors


def rest(port: int, method: str, path: str, body: str | None, authorization: str | None = None) -> tuple[int, bytes]:
    """Status and body of one request."""
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _command(one: socket.socket, kind: int, payload: bytes) -> int:
    one.sendall(struct.pack(">ii", kind, len(payload)) + payload)
    answer, size = struct.unpack(">ii", _exactly(one, 8))
    _exactly(one, size)
    return int(answer)


def _jute(one: socket.socket, request: bytes) -> bytes:
    one.sendall(struct.pack(">i", len(request)) + request)
    return _exactly(one, struct.unpack(">i", _exactly(one, 4))[0])


def _exactly(one: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        block = one.recv(size - len(data))
        if not block:
            raise ConnectionError("closed")
        data += block
    return data


def _utf(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _text(text: str) -> bytes:
    return struct.pack(">i", len(text)) + text.encode()


def attempt(url: str, what: str) -> None:
    """One attempt with Pravega's client, with the account of the environment, if there is one; prints what it got."""
    os.environ["RUST_LOG"] = "off"
    import pravega_client

    manager = pravega_client.StreamManager(url, "pravega_client_auth_method" in os.environ, False)
    print(_attempt(manager, what), flush=True)
    os._exit(0)


def _attempt(manager: Any, what: str) -> object:
    if what == "create scope":
        return manager.create_scope("stranger")
    if what == "create stream":
        return manager.create_stream("scope", "stranger", 1)
    if what == "delete":
        manager.create_stream("scope", "doomed", 1)
        return manager.seal_stream("scope", "doomed") and manager.delete_stream("scope", "doomed")
    if what == "write":
        writer = manager.create_writer("scope", "stream")
        writer.write_event("from a stranger", "key")
        writer.flush()
        return True
    if what == "read":
        log, buffer = manager.create_byte_stream("scope", "stream"), bytearray(1000)
        log.seek(log.current_head_offset(), 0)
        return log.readinto(buffer) > 0
    group = manager.create_reader_group("stranger-group", "scope", "stream", False)
    return group.create_reader("stranger") is not None


if __name__ == "__main__":
    attempt(sys.argv[1], sys.argv[2])
