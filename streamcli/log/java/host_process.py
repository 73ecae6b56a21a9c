"""The parent's side of the host process, whose JVM serves all workers of a log. Each worker is a thread in it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from dataclasses import asdict
from typing import IO, TYPE_CHECKING

from streamcli.java.client import JavaRuntime
from streamcli.log.channel import Channel, WorkerEvents
from streamcli.log.frames import Frame, pack_json
from streamcli.log.process import keep_log, start_process
from streamcli.model.address import Controller

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MODULE = "streamcli.log.java.host"
ENDS_WITHIN = 3.0  # seconds for a worker to notice that it is to end, before its whole process is killed


class HostProcess:
    """One host process after another: the next one is started for the first worker after the last one has ended."""

    def __init__(self, runtime: JavaRuntime) -> None:
        self._runtime = runtime
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start_worker(
        self, what: str, request: DataclassInstance, to: Controller, log: IO[bytes] | int, events: WorkerEvents
    ) -> HostedWorker:
        """Start a worker of the kind ``what`` ("read", "write" or "clean"). Raises OSError when the system can't."""
        process, control = self._running(log, to)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(control, [b"w"], [theirs.fileno()])
        except OSError:
            ours.close()
            self.kill()
            raise
        start = pack_json(Frame.START, controller=asdict(to), what=what, request=asdict(request))
        return HostedWorker(f"{what} worker", ours, process, start, events)

    def kill(self) -> None:
        """End the process and with it all its workers."""
        if self._process:
            self._process.kill()
            self._process.poll()
        if self._control:
            self._control.close()
        self._process = self._control = None

    def _running(self, log: IO[bytes] | int, to: Controller) -> tuple[subprocess.Popen[bytes], socket.socket]:
        if self._process and self._control and self._process.poll() is None:
            return self._process, self._control
        self.kill()
        ours, theirs = socket.socketpair()
        with theirs:
            # One heap of the C library for all threads: it would hoard memory in each.
            process = start_process(MODULE, theirs.fileno(), subprocess.DEVNULL, MALLOC_ARENA_MAX="1")
        keep_log(process, log, to.login)
        self._process, self._control = process, ours
        runtime = self._runtime
        ours.sendall(
            pack_json(
                Frame.START,
                parent=os.getpid(),
                jvm=str(runtime.jvm),
                flags=runtime.flags,
                classpath=runtime.classpath,
            )
        )
        return process, ours


class HostedWorker(Channel):
    """One worker in the host process, at the other end of a socket."""

    def __init__(
        self, name: str, end: socket.socket, process: subprocess.Popen[bytes], start: bytes, events: WorkerEvents
    ) -> None:
        super().__init__(name, end.fileno(), events)
        self._socket, self._process = end, process
        self._ending = False
        self.send(start)
        self._listen()

    @property
    def pid(self) -> int:
        """The host's process id."""
        return self._process.pid

    def kill(self) -> None:
        """Tell the worker to end; if it does not, the host is killed and with it the log's other worker."""
        if not self._ending and not self._closed:
            self._ending = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            self._loop.call_later(ENDS_WITHIN, self._insist)

    def _insist(self) -> None:
        if not self._closed:
            self._process.kill()

    def _read(self, size: int) -> bytes:
        try:
            return self._socket.recv(size)
        except ConnectionError:
            return b""

    def _write(self, piece: bytes | bytearray) -> int:
        return self._socket.send(piece, socket.MSG_DONTWAIT)

    def _finish(self) -> None:
        pass  # the end of the stream says that the worker is gone

    def _close(self) -> None:
        self._socket.close()
