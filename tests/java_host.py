"""Drives the host of Pravega's Java client as the prompt's process does: a control socket, and one socket per lane."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from streamcli.java.client import client_runtime
from streamcli.java.progress import Quiet
from streamcli.log.frames import (
    Frame,
    Received,
    Splitter,
    pack,
    pack_json,
    pack_writes,
    unpack_count,
    unpack_events,
    unpack_json,
)
from streamcli.model.address import Controller

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

WITHIN = 20.0  # seconds


class HostProcess:
    """A running host."""

    def __init__(self, log: Path | None = None, flags: tuple[str, ...] = (), jvm: str | None = None) -> None:
        self._lanes: list[LaneUser] = []
        self._control, theirs = socket.socketpair()
        errors: IO[bytes] | int = log.open("wb") if log else subprocess.DEVNULL
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", "streamcli.log.java.host"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        )
        if not isinstance(errors, int):
            errors.close()
        theirs.close()
        runtime = client_runtime(Quiet())
        start = {"parent": os.getpid(), "jvm": jvm or str(runtime.jvm), "flags": [*runtime.flags, *flags]}
        self._control.sendall(pack_json(Frame.START, **start, classpath=runtime.classpath))

    def lane(self, controller: Controller, what: str, request: DataclassInstance) -> LaneUser:
        """Open a lane."""
        ours, theirs = socket.socketpair()
        socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
        theirs.close()
        ours.sendall(pack_json(Frame.START, controller=asdict(controller), what=what, request=asdict(request)))
        self._lanes.append(LaneUser(ours))
        return self._lanes[-1]

    def ends(self, within: float = 5.0) -> int:
        """Close the control socket; return the exit code."""
        self._control.close()
        return self.process.wait(within)

    def __enter__(self) -> HostProcess:
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self._lanes:
            lane.socket.close()
        self._control.close()
        self.process.kill()
        self.process.wait()


class LaneUser:
    """The prompt's side of a lane."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._splitter = Splitter()
        self._queue: list[Received] = []
        self.ended = False
        self.takes = True
        self.frames: list[Frame] = []
        self.events: list[tuple[int, int, bytes]] = []  # segment, offset, data
        self.batches: list[int] = []  # how many events came in each frame
        self.opened: dict[str, Any] = {}
        self.written = 0
        self.failed: dict[str, str] = {}

    def step(self, seconds: float = 0.1) -> None:
        """Take what arrives within ``seconds``, and say so."""
        self.socket.settimeout(seconds)
        try:
            piece = self.socket.recv(1 << 20)
        except TimeoutError:
            return
        except ConnectionResetError:
            piece = b""
        self.ended = self.ended or not piece
        for received in self._splitter.feed(piece):
            self._take(received)

    def _take(self, received: Received) -> None:
        kind, payload, _ = received
        self.frames.append(kind)
        if kind is Frame.EVENTS:
            segment, events = unpack_events(payload)
            self.events += [(segment, offset, data) for offset, data in events]
            self.batches.append(len(events))
            if self.takes:
                with contextlib.suppress(OSError):
                    self.send(pack(Frame.TAKEN))
        elif kind is Frame.OPENED:
            self.opened = unpack_json(payload)
        elif kind is Frame.WRITTEN:
            self.written += unpack_count(payload)
        elif kind is Frame.FAILED:
            self.failed = unpack_json(payload)

    def until(self, what: Callable[[], object], within: float = WITHIN) -> None:
        """Take what arrives until ``what()`` is true."""
        end = time.monotonic() + within
        while not what():
            assert not self.ended, f"the lane has ended: {self.failed}"
            assert time.monotonic() < end, f"not within {within} s"
            self.step()

    def caught_up(self) -> LaneUser:
        """Read all of the past."""
        self.until(lambda: Frame.CAUGHT_UP in self.frames)
        return self

    def has(self, count: int) -> LaneUser:
        """Read until there are ``count`` events."""
        self.until(lambda: len(self.events) >= count)
        return self

    def is_open(self) -> LaneUser:
        """Wait until the stream is open."""
        self.until(lambda: self.opened)
        return self

    def fails(self, within: float = WITHIN) -> dict[str, str]:
        """Wait for the reason why it ends."""
        self.until(lambda: self.failed, within)
        self.until_ended()
        return self.failed

    def until_ended(self, within: float = WITHIN) -> float:
        """Wait until the host has closed the lane; return how long that took."""
        start = time.monotonic()
        while not self.ended:
            assert time.monotonic() < start + within, "the lane does not end"
            self.step()
        self.socket.close()
        return time.monotonic() - start

    def end(self, within: float = WITHIN) -> float:
        """Ask the lane to end; return how long that took."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        return self.until_ended(within)

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self.socket.settimeout(WITHIN)
        self.socket.sendall(frame)

    def send_write(self, *datas: bytes, key: str = "lobby") -> None:
        """Send events to be written."""
        self.send(pack_writes(key, datas))

    def write(self, *datas: bytes, key: str = "lobby") -> None:
        """Write events and wait until they are acknowledged."""
        before = self.written
        self.send_write(*datas, key=key)
        self.until(lambda: self.written >= before + len(datas))

    @property
    def datas(self) -> list[bytes]:
        """What was read, in the order in which it came."""
        return [data for _, _, data in self.events]
