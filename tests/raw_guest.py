"""Whoever calls a gate and speaks TLS and frames by hand, well or badly."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from streamcli.gate.port import PROTOCOLS
from streamcli.log.frames import Frame, Received, Splitter, pack, pack_count, pack_json, pack_writes, split_events
from streamcli.log.gate.tls import GATE_CERTIFICATE, MY_CERTIFICATE, MY_KEY
from streamcli.model.cursor import Cursor

LOG, JOIN, OWNER = PROTOCOLS
HANG = 20.0  # seconds
HEAD: dict[str, Any] = {"log": "", "offsets": {}, "last": None}


def context_of(folder: Path | None, protocol: str | None = LOG) -> ssl.SSLContext:
    """The TLS of a guest whose files are in ``folder``; without it that of a stranger, who has no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if folder:
        context.load_verify_locations(folder / GATE_CERTIFICATE)
        context.load_cert_chain(folder / MY_CERTIFICATE, folder / MY_KEY)
    if protocol is not None:
        context.set_alpn_protocols([protocol])
    return context


def plain(port: int, source: str = "127.0.0.1") -> socket.socket:
    """A TCP connection from an address of this machine's own."""
    return socket.create_connection(("127.0.0.1", port), HANG, (source, 0))


def as_event(sender: object, number: int = 0, **fields: Any) -> bytes:
    """An event of a guest's; ``fields`` replace its own, or leave them out where they are None."""
    event = {"sender": sender, "message": f"hi {number}", "id": f"{number:032x}", "kind": "chat"} | fields
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def cursor_fields(cursor: Cursor) -> dict[str, Any]:
    """A cursor as a guest sends it."""
    last = (*cursor.last[:2], cursor.last[2].hex()) if cursor.last else None
    return {"log": cursor.log, "offsets": dict(cursor.offsets), "last": last}


class RawGuest:
    """One connection. What comes is read only when a test asks for it."""

    def __init__(
        self, port: int, folder: Path | None, protocol: str | None = LOG, source: str = "127.0.0.1", limit: int = 0
    ) -> None:
        """Connect and perform the handshake; ``limit`` bounds the bytes that the system receives ahead."""
        self.socket = connection = socket.socket()
        if limit:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limit)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(HANG)
        connection.bind((source, 0))
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context_of(folder, protocol).wrap_bio(self._in, self._out)
        self._both, self._sending = threading.Lock(), threading.Lock()
        try:
            connection.connect(("127.0.0.1", port))
            self._shake_hands()
        except BaseException:
            connection.close()
            raise
        self._splitter = Splitter()
        self._frames = self._split()
        self._kept: list[Received] = []
        self.takes = True

    def __enter__(self) -> RawGuest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(self._out.read())
                if not (piece := self.socket.recv(1 << 16)):
                    raise ConnectionError("the handshake was cut off") from None
                self._in.write(piece)
        self.socket.sendall(self._out.read())

    def _split(self) -> Iterator[Received]:
        while piece := self.piece():
            yield from self._splitter.feed(piece)

    def piece(self) -> bytes:
        """The next bytes; b"" at the end, however it came. One thread may do this while another one sends."""
        try:
            while True:
                with self._both, contextlib.suppress(ssl.SSLWantReadError):
                    return self._tls.read(1 << 16)
                if not (received := self.socket.recv(1 << 16)):
                    return b""
                with self._both:
                    self._in.write(received)
        except TimeoutError:
            raise AssertionError(f"nothing came for {HANG} s") from None
        except OSError:
            return b""

    def says(self, data: bytes) -> None:
        """Send bytes; the gate may have ended the connection."""
        with self._sending, contextlib.suppress(OSError):
            for at in range(0, len(data), 1 << 20):
                with self._both:
                    self._tls.write(data[at : at + (1 << 20)])
                    sealed = self._out.read()
                self.socket.sendall(sealed)

    def frame(self) -> Received | None:
        """The next frame; None at the end. Heartbeats and batches are answered."""
        found = next(self._frames, None)
        if found and found.kind is Frame.IDLE:
            self.says(pack(Frame.IDLE))
        elif found and found.kind is Frame.EVENTS and self.takes:
            self.says(pack(Frame.TAKEN))
        return found

    def until(self, *kinds: Frame) -> Received:
        """The next frame of one of these kinds; others that come before are kept, but for heartbeats."""
        for kept in self._kept:
            if kept.kind in kinds:
                self._kept.remove(kept)
                return kept
        while found := self.frame():
            if found.kind in kinds:
                return found
            if found.kind is not Frame.IDLE:
                self._kept.append(found)
        raise AssertionError(f"the connection has ended before {[kind.name for kind in kinds]} came")

    def rest(self) -> list[Received]:
        """All further frames until the end, but for what is said of the gate itself."""
        found = list(iter(self.frame, None))
        return [frame for frame in found if frame.kind not in (Frame.IDLE, Frame.STATUS, Frame.WELCOME)]

    def starts(self, read: dict[str, Any] | None = None, write: bool = False, version: Any = 1) -> RawGuest:
        """Send START."""
        self.says(pack_json(Frame.START, version=version, read=read, write=write))
        return self

    def may_write(self) -> int:
        """Wait for WRITABLE, answer it, and return its number."""
        life = int(self.until(Frame.WRITABLE).fields()["life"])
        self.says(pack_count(Frame.WRITING, life))
        return life

    def writes(self, *datas: bytes, key: str = "lobby") -> None:
        """Send events."""
        self.says(pack_writes(key, datas))

    def answers(self, count: int) -> list[str]:
        """The answers to so many events: "" for one that is in the log, else why it is refused."""
        found: list[str] = []
        while len(found) < count:
            frame = self.until(Frame.WRITTEN, Frame.REJECTED)
            if frame.kind is Frame.WRITTEN:
                found += [""] * int.from_bytes(frame.payload, "big")
            else:
                found.append(str(frame.fields()["text"]))
        return found

    def events(self, count: int) -> list[bytes]:
        """The next so many events."""
        return [data for _, data in self.located(count)]

    def located(self, count: int) -> list[tuple[int, bytes]]:
        """The next so many events with their offsets."""
        found: list[tuple[int, bytes]] = []
        while len(found) < count:
            frame = self.until(Frame.EVENTS)
            found += split_events(pack(frame.kind, frame.payload))
        return found

    def past(self) -> list[tuple[int, bytes]]:
        """All events until CAUGHT_UP, with their offsets."""
        found: list[tuple[int, bytes]] = []
        while (frame := self.until(Frame.EVENTS, Frame.CAUGHT_UP)).kind is Frame.EVENTS:
            found += split_events(pack(frame.kind, frame.payload))
        return found
