"""The parent's side of a worker: frames sent without ever waiting, frames received in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from streamcli.log.frames import Frame, Received, read_frames
from streamcli.model.address import Controller
from streamcli.system.guard import post

_PIECE = 1 << 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerEvents:
    """What a worker tells its owner.

    ``frame`` is called in a separate thread, and ``settle`` after the last frame: it returns when all frames were
    passed on. Then ``end`` is called, once, in the loop: the worker is gone.
    """

    frame: Callable[[Received], None]
    end: Callable[[], None]
    settle: Callable[[], None] = lambda: None


class Channel(ABC):
    """The connection to one worker. Create and call it in the event loop's thread."""

    def __init__(self, name: str, writable: int, events: WorkerEvents) -> None:
        """``writable`` is the descriptor that is ready when frames can be sent."""
        self._name, self._events, self._writable = name, events, writable
        self._unsent = bytearray()
        self._closed = False
        self._loop = asyncio.get_running_loop()

    @property
    @abstractmethod
    def pid(self) -> int:
        """The id of the process that the worker runs in."""

    @abstractmethod
    def kill(self) -> None:
        """End the worker; it holds nothing that would be lost."""

    @abstractmethod
    def _read(self, size: int) -> bytes:
        """Wait for bytes from the worker; none when it has ended."""

    @abstractmethod
    def _write(self, piece: bytes | bytearray) -> int:
        """Write without waiting; return how many bytes were taken. Raises OSError."""

    @abstractmethod
    def _finish(self) -> None:
        """In the listening thread, after the last frame: wait until the worker is gone."""

    @abstractmethod
    def _close(self) -> None:
        """In the loop: close what frames are sent through."""

    def send(self, frame: bytes) -> None:
        """Send one frame; what can't be written now is sent later."""
        if self._closed:
            return
        self._unsent += frame
        if len(self._unsent) == len(frame):
            self._flush()

    def _listen(self) -> None:
        """Start the thread that receives frames."""
        threading.Thread(target=self._receive, name=self._name, daemon=True).start()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._write(self._unsent[:_PIECE])]
            self._loop.remove_writer(self._writable)
        except BlockingIOError:
            self._loop.add_writer(self._writable, self._flush)
        except OSError:  # it is gone, which the listening thread notices
            self._unsent.clear()
            self._loop.remove_writer(self._writable)

    def _receive(self) -> None:
        try:
            for received in read_frames(self._read):
                self._events.frame(received)
        except Exception:
            # Invalid frames must not print a traceback over the prompt. The worker is replaced as if it had ended.
            if not self._loop.is_closed():
                _log.exception("what %s %d said can't be used", self._name, self.pid)
        finally:
            self._finish()
            self._events.settle()
            post(self._loop, self._end)

    def _end(self) -> None:
        # In one step with the event: nothing may write to this descriptor's number once it can mean another file.
        self._closed = True
        self._unsent.clear()
        self._loop.remove_writer(self._writable)
        self._close()
        self._events.end()


# Starts a worker for a controller; the second value takes its standard error. Raises OSError when the system can't.
Start = Callable[[Controller, "IO[bytes] | int", WorkerEvents], Channel]


async def done_within(seconds: float, start: Callable[[WorkerEvents], Channel]) -> bool:
    """Start a worker that says when it is done, and end it; return False when it did not say so in time."""
    done, ended = False, asyncio.Event()

    def heard(received: Received) -> None:
        nonlocal done
        done = done or received.kind is Frame.DONE

    worker = start(WorkerEvents(heard, ended.set))
    try:
        with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(ended.wait(), seconds)
    finally:
        worker.kill()
    return done
