"""The parent's side of the host process, whose JVM serves all workers of a log. Each worker is a thread in it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections import deque
from dataclasses import asdict
from typing import IO, TYPE_CHECKING

from streamcli.java.client import JavaRuntime
from streamcli.log.channel import Channel, WorkerEvents
from streamcli.log.frames import Frame, Received, pack_json
from streamcli.log.java.unusable import failed_start
from streamcli.log.process import keep_log, start_process
from streamcli.model.address import Controller

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MODULE = "streamcli.log.java.host"
ENDS_WITHIN = 3.0  # seconds for a worker to notice that it is to end, before its whole process is killed
GONE_WITHIN = 1.0  # seconds for a process to be gone after its sockets
KEPT_LINES = 40  # of what a process prints: a JVM that crashes says why in 20


class HostProcess:
    """One host process after another: the next one is started for the first worker after the last one has ended."""

    def __init__(self, runtime: JavaRuntime) -> None:
        self._runtime = runtime
        self._host: _Host | None = None

    def start_worker(
        self, what: str, request: DataclassInstance, to: Controller, log: IO[bytes] | int, events: WorkerEvents
    ) -> HostedWorker:
        """Start a worker of the kind ``what`` ("read", "write" or "clean"). Raises OSError when the system can't."""
        host = self._running(log, to)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(host.control, [b"w"], [theirs.fileno()])
        except OSError:
            ours.close()
            self.kill()
            raise
        start = pack_json(Frame.START, controller=asdict(to), what=what, request=asdict(request))
        return HostedWorker(f"{what} worker", ours, host, start, events)

    def kill(self) -> None:
        """End the process and with it all its workers."""
        if self._host:
            self._host.kill()
        self._host = None

    def _running(self, log: IO[bytes] | int, to: Controller) -> _Host:
        before = self._host
        if before and before.process.poll() is None:
            return before
        again = before is not None and before.failure is not None
        self.kill()
        self._host = _Host(self._runtime, log, to, again)
        return self._host


class _Host:
    """One host process."""

    def __init__(self, runtime: JavaRuntime, log: IO[bytes] | int, to: Controller, again: bool) -> None:
        """Start it; ``again`` if the one before it could not start its JVM. Raises OSError when the system can't."""
        self._again, self._said = again, deque[str](maxlen=KEPT_LINES)
        self._asking = threading.Lock()
        self.failure: dict[str, str] | None = None
        self.control, theirs = socket.socketpair()
        with theirs:
            # One heap of the C library for all threads: it would hoard memory in each.
            self.process = start_process(MODULE, theirs.fileno(), subprocess.DEVNULL, MALLOC_ARENA_MAX="1")
        self._logging = keep_log(self.process, log, to.login, self._said.append)
        self.control.sendall(
            pack_json(
                Frame.START,
                parent=os.getpid(),
                jvm=str(runtime.jvm),
                flags=runtime.flags,
                classpath=runtime.classpath,
            )
        )

    def why_no_jvm(self) -> dict[str, str] | None:
        """In a worker's thread, when it has ended: return why there never was a JVM, None if there was one."""
        with self._asking:
            if self.failure is None and not self._has_started():
                self._logging.join(GONE_WITHIN)
                if (code := self.process.poll()) is not None:
                    self.failure = failed_start(code, list(self._said), self._again, os.environ)
            return self.failure

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.process.poll()
        self.control.close()

    def _has_started(self) -> bool:
        try:
            return bool(self.control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except (BlockingIOError, ConnectionResetError):  # reset by an end that left our bytes unread
            return False
        except OSError:  # closed: nobody asks any more
            return True


class HostedWorker(Channel):
    """One worker in the host process, at the other end of a socket."""

    def __init__(self, name: str, end: socket.socket, host: _Host, start: bytes, events: WorkerEvents) -> None:
        super().__init__(name, end.fileno(), events)
        self._socket, self._host = end, host
        self._ending = False
        self.send(start)
        self._listen()

    @property
    def pid(self) -> int:
        """The host's process id."""
        return self._host.process.pid

    def kill(self) -> None:
        """Tell the worker to end; if it does not, the host is killed and with it the log's other worker."""
        if not self._ending and not self._closed:
            self._ending = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            self._loop.call_later(ENDS_WITHIN, self._insist)

    def _insist(self) -> None:
        if not self._closed:
            self._host.process.kill()

    def _read(self, size: int) -> bytes:
        try:
            return self._socket.recv(size)
        except ConnectionError:
            return b""

    def _write(self, piece: bytes | bytearray) -> int:
        return self._socket.send(piece, socket.MSG_DONTWAIT)

    def _finish(self) -> None:
        """Nothing is left to wait for: the end of the stream says that the worker is gone."""
        if not self._ending and (why := self._host.why_no_jvm()):
            self._events.frame(Received(Frame.FAILED, json.dumps(why).encode()))

    def _close(self) -> None:
        self._socket.close()
