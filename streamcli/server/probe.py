"""Probes ports and the server by plain sockets: fast, and never longer than the timeout."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import suppress

import psutil

from streamcli.model.address import Login
from streamcli.server.state import Ports

_HELLO = -127  # the Hello type of the wire protocol
_WIRE_VERSION, _WIRE_OLDEST = 15, 5


def free_ports(prefer_usual: bool = True) -> Ports:
    """Return the usual ports, each replaced by a free one if it is taken, or if the usual ones are not preferred.

    Another program may take one between this check and the server's bind; the start notices that.
    """
    usual = Ports()
    held: list[socket.socket] = []
    try:
        return Ports(
            *(
                port if prefer_usual and is_free(port) else _any_free(held)
                for port in (
                    usual.rpc,
                    usual.rest,
                    usual.segment_store,
                    usual.zookeeper,
                )
            )
        )
    finally:
        for one in held:
            one.close()


def is_free(port: int) -> bool:
    """Return whether ``port`` is free on every interface, so that clients can't mean another program."""
    if is_listening(port):
        return False
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as one:
                # As Java does: connections of the last server that linger in TIME_WAIT don't occupy the port.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind((address, port))
        except OSError:
            if family == socket.AF_INET or _has_ipv6():
                return False
    return True


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def _any_free(held: list[socket.socket]) -> int:
    """Return a free port; its socket stays open in ``held`` so that the next call returns another."""
    one = socket.socket()
    held.append(one)
    one.bind(("0.0.0.0", 0))
    port: int = one.getsockname()[1]
    return port


def is_listening(port: int, timeout: float = 0.5) -> bool:
    """Return whether something accepts connections on ``port`` of loopback within ``timeout`` seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout):
            return True
    except OSError:
        return False


def zookeeper_answers(port: int, timeout: float) -> bool:
    """Return whether a ZooKeeper on ``port`` reports that it is healthy."""
    return _answer(port, b"ruok", 4, timeout) == b"imok"


def segment_store_answers(port: int, timeout: float) -> bool:
    """Return whether a segment store on ``port`` answers a Hello of Pravega's wire protocol with its own."""
    hello = struct.pack(">iiii", _HELLO, 8, _WIRE_VERSION, _WIRE_OLDEST)
    return _answer(port, hello, 16, timeout)[:4] == hello[:4]


def _answer(port: int, question: bytes, size: int, timeout: float) -> bytes:
    """Return the first ``size`` bytes of the answer, or fewer."""
    answer = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout) as one:
        one.sendall(question)
        while len(answer) < size and (block := one.recv(size - len(answer))):
            answer += block
    return answer


def is_alive(port: int, timeout: float) -> bool:
    """Return whether the controller's REST port answers within ``timeout`` s: a stopped JVM accepts but is silent."""
    return _get(port, "/ping", timeout) is not None


def belongs_to(port: int, pid: int) -> bool:
    """Return whether process ``pid`` listens on ``port``."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


def is_ready(port: int, timeout: float, login: Login | None) -> bool:
    """Return whether the server can be used: its REST port lists the scopes, including Pravega's own."""
    body = _get(port, "/v1/scopes", timeout, login)
    try:
        return body is not None and any(s["scopeName"] == "_system" for s in json.loads(body)["scopes"])
    except (ValueError, KeyError, TypeError):
        return False


def _get(port: int, path: str, timeout: float, login: Login | None = None) -> bytes | None:
    """Return the body of a 200 answer, or None. HTTP 1.0, so that it is not chunked and ends with the connection."""
    answer, header = b"", ""
    if login:
        header = f"Authorization: Basic {login.basic}\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as one:
            one.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n{header}\r\n".encode())
            while (block := one.recv(65536)) and len(answer) < 1 << 20:
                answer += block
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if head.split(b" ", 2)[1:2] == [b"200"] else None
