"""A lane: one socket to the prompt's process, and the waits of the thread that serves it, none of them unbounded."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from streamcli.log.frames import Splitter, unpack_json

STEP = 0.25  # seconds after which a lane that is to end is noticed
_PIECE = 1 << 20
_TIMEOUT = "java.util.concurrent.TimeoutException"


class LaneEnded(Exception):
    """The prompt's process wants this lane to end, or is gone."""


class TookTooLong(Exception):
    """The server did not answer in time."""


class Lane:
    """One lane. The thread that serves it uses all methods but `end` and `close`, which are for the host's main one."""

    def __init__(self, connection: socket.socket, now: Callable[[], float] = time.monotonic) -> None:
        self.socket, self._now = connection, now
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._ending = threading.Event()
        self._sending = threading.Lock()
        self._at_end: list[Callable[[], object]] = []
        self.finished = False  # whether the serving thread has ended
        self.has_spoken = False  # whether a frame was sent

    def start(self) -> dict[str, Any]:
        """Return the request: the object in the first frame. What follows belongs to the work."""
        splitter = Splitter()
        while True:
            if frames := splitter.feed(self._received(1)):
                return unpack_json(frames[0].payload)

    def check(self) -> None:
        """Raise LaneEnded if this lane is to end."""
        if self._ending.is_set():
            raise LaneEnded

    def send(self, frame: bytes) -> None:
        """Send one frame."""
        self.check()
        with self._sending:
            try:
                self.socket.sendall(frame)
                self.has_spoken = True
            except OSError as error:
                raise LaneEnded from error

    def receive(self) -> bytes:
        """Wait for the next bytes."""
        return self._received(_PIECE)

    def has_input(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for the next bytes; also true when the other side has ended."""
        return bool(self._poll.poll(seconds * 1000))

    def get(self, future: Any, seconds: float = 15.0) -> Any:
        """Wait for a Java future; raise what it failed with, TookTooLong, or LaneEnded as soon as that is so."""
        import jpype

        milliseconds = jpype.JClass("java.util.concurrent.TimeUnit").MILLISECONDS
        end = self._now() + seconds
        while True:
            self.check()
            try:
                return future.get(int(STEP * 1000), milliseconds)
            except jpype.JClass(_TIMEOUT):
                if self._now() > end:
                    raise TookTooLong(f"no answer from the server within {seconds:.0f} s") from None

    def end(self) -> None:
        """Let the serving thread notice that this lane is to end."""
        self._ending.set()

    def close(self) -> None:
        """Close the socket, also when the serving thread still waits for the server."""
        self._ending.set()
        self._shut()
        if self._at_end:  # closing connections may take a while, too
            threading.Thread(target=self._clean, name="lane-end", daemon=True).start()
        with self._sending:
            self.socket.close()

    def at_end(self, call: Callable[[], object]) -> None:
        """Have ``call`` called when the lane has ended, even if its thread still waits for the server."""
        self._at_end.append(call)

    def finish(self) -> None:
        """Tell the prompt's process that this lane has ended."""
        self.finished = True
        self._shut()
        self._clean()

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _clean(self) -> None:
        while self._at_end:
            with contextlib.suppress(Exception):
                self._at_end.pop()()

    def _received(self, size: int) -> bytes:
        self.check()
        try:
            piece = self.socket.recv(size)
        except OSError as error:
            raise LaneEnded from error
        if not piece:
            raise LaneEnded
        return piece
