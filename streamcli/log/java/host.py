"""The host, ``python -m streamcli.log.java.host``: one process with one JVM, which serves each lane in a thread.

Standard input is a socket to the prompt's process. First it brings one START frame that says how to start the JVM,
then, with one byte each, the sockets of lanes. One byte goes back when the JVM has been started; if it can't be, this
process ends, and what it has printed says why (unusable.py). A lane ends when the other side of its socket does; when
standard input ends, all do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from streamcli.log.frames import Frame, Splitter, pack_json, unpack_json
from streamcli.log.java import client
from streamcli.log.java.clean_lane import clean
from streamcli.log.java.lane import STEP, Lane, LaneEnded
from streamcli.log.java.read_lane import read
from streamcli.log.java.requests import CleanRequest, ReadRequest
from streamcli.log.java.unusable import NO_JVM, STARTED, not_loaded
from streamcli.log.java.write_lane import write
from streamcli.log.worker_life import controller_of, end_with_parent
from streamcli.log.write_request import WriteRequest
from streamcli.model.address import Controller, Login

WORK: dict[str, tuple[type[Any], Callable[[Any, client.Manager, Lane], None]]] = {
    "read": (ReadRequest, read),
    "write": (WriteRequest, write),
    "clean": (CleanRequest, clean),
}
SILENT = 3.0  # seconds in which a lane usually opens the log: a thread of the client may have died of a damaged jar
_HALF_CLOSED = getattr(select, "POLLRDHUP", 0)  # only Linux tells this without a look at what has arrived


class Host:
    """Serves lanes until standard input ends."""

    def __init__(
        self, control: socket.socket, classpath: Sequence[str], now: Callable[[], float] = time.monotonic
    ) -> None:
        """``classpath`` are the client's jars."""
        self._control, self._classpath, self._now = control, classpath, now
        self._managers = client.Managers()
        self._lanes: dict[int, Lane] = {}
        self._ending: dict[int, float] = {}  # since when
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Serve."""
        while True:
            quickly = self._ending or (self._lanes and not _HALF_CLOSED)
            for fd, _ in self._poll.poll(STEP * 500 if quickly else None):
                if fd == self._control.fileno():
                    self._arrived()
                else:
                    self._ends(fd)
            if not _HALF_CLOSED:
                for fd in [fd for fd, lane in self._lanes.items() if fd not in self._ending and _at_end(lane.socket)]:
                    self._ends(fd)
            for fd, since in list(self._ending.items()):
                if self._now() - since >= STEP or self._lanes[fd].finished:
                    del self._ending[fd]
                    self._lanes.pop(fd).close()

    def _arrived(self) -> None:
        try:
            byte, fds, _, _ = socket.recv_fds(self._control, 1, 1)
        except ConnectionResetError:  # its other side was closed before our byte was read
            byte, fds = b"", []
        if not byte:
            os._exit(0)
        for fd in fds:
            lane = Lane(socket.socket(fileno=fd), self._now)
            self._lanes[fd] = lane
            self._poll.register(fd, _HALF_CLOSED)
            threading.Thread(target=self._serve_lane, args=(lane,), name="lane", daemon=True).start()

    def _ends(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._lanes[fd].end()
        self._ending[fd] = self._now()

    def _serve_lane(self, lane: Lane) -> None:
        login = None
        waiting = threading.Timer(SILENT, self._look_at_jars, (lane,))
        waiting.daemon = True
        try:
            waiting.start()
            start = lane.start()
            controller = controller_of(start["controller"])
            login = controller.login
            self._work(start, controller, lane)
        except LaneEnded:
            pass
        except BaseException as error:  # a Java error need not be an Exception
            _say(lane, pack_json(Frame.FAILED, **self._failure(error, login)))
        finally:
            waiting.cancel()
            lane.finish()
            client.forget_thread()

    def _look_at_jars(self, lane: Lane) -> None:
        if not lane.has_spoken and (why := not_loaded("", False, self._classpath)):
            _say(lane, pack_json(Frame.FAILED, kind="unusable", text=why))
            lane.finish()

    def _failure(self, error: BaseException, login: Login | None) -> dict[str, str]:
        kind, text = client.kind(error), client.first_line(error, login)
        if kind in ("other", "unusable") and (why := not_loaded(text, kind == "unusable", self._classpath)):
            return {"kind": "unusable", "text": why}
        return {"kind": kind, "text": text}

    def _work(self, start: dict[str, Any], controller: Controller, lane: Lane) -> None:
        request, work = WORK[start["what"]]
        with self._managers.use(controller) as manager:
            work(request(**start["request"]), manager, lane)


def _say(lane: Lane, frame: bytes) -> None:
    with contextlib.suppress(LaneEnded):
        lane.send(frame)


def _at_end(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _start(control: socket.socket) -> dict[str, Any]:
    # Read byte by byte up to the frame's end: what follows brings the lanes.
    splitter = Splitter()
    while True:
        piece = control.recv(1)
        if not piece:
            os._exit(0)
        if frames := splitter.feed(piece):
            return unpack_json(frames[0].payload)


def main() -> None:
    """Run the host."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=os.dup(0))
    os.dup2(2, 1)
    start = _start(control)
    end_with_parent(start["parent"])
    try:
        client.start_jvm(start["jvm"], start["flags"], start["classpath"])
    except BaseException as error:
        print(f"{NO_JVM}{_reason(error, start['jvm'])}", file=sys.stderr, flush=True)
        os._exit(1)
    control.sendall(STARTED)
    Host(control, start["classpath"]).serve()


def _reason(error: BaseException, library: str) -> str:
    try:
        ctypes.CDLL(library)  # JPype says of any library that can't be loaded that it is not found
    except OSError as why:
        error = why
    return (str(error).strip() or type(error).__name__).splitlines()[0]


if __name__ == "__main__":
    main()
