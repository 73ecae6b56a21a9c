"""``streamcli send``: a text or the lines of standard input into the log, in order, and honest about how far it got."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from typing import IO, Any

from streamcli.config import Settings
from streamcli.errors import InputError, Interrupted, NotPermitted, StreamcliError, Unreachable, from_os_error
from streamcli.log.frames import Frame, pack_write, unpack_count
from streamcli.log.supervisor import ConnectionStatus, Supervisor, WorkerSlot
from streamcli.log.writer import MODULE
from streamcli.model.address import Controller
from streamcli.model.message import MAX_EVENT_BYTES, Ids, TooLong, clock_trouble, encode, make, plausible
from streamcli.system.guard import start_thread, watched
from streamcli.system.signals import on_signal

WINDOW = 4000  # lines on their way at once: enough to keep the writer busy, little enough to hold in memory
ANSWERS_WITHIN = 0.5  # seconds that an interrupted send waits for the server's answers


class Sender:
    """Hands events to the write worker and counts what the server has acknowledged."""

    def __init__(self, settings: Settings, locate: Callable[[], Controller], worker_log: IO[bytes] | int) -> None:
        """``locate`` names the controller or raises Unreachable."""
        self._settings = settings
        self.acknowledged = 0
        self._unacknowledged: deque[bytes] = deque()
        self._in_flight = 0
        self._moved = 0.0
        self._words = ""
        self._refusal: NotPermitted | None = None
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._lane = WorkerSlot(MODULE, self._orders, self._on_frame, self._due_since, self._opened)
        self._supervisor = Supervisor(locate, [self._lane], settings.stream, self._on_link, worker_log)

    async def send(self, batches: asyncio.Queue[list[bytes] | StreamcliError | None]) -> None:
        """Send what comes until None; raises what comes as an error once all before it is in the log.

        Raises NotPermitted at once and Unreachable when nothing moves for the settings' timeout.
        """
        watching = watched(self._supervisor.run())
        failure: StreamcliError | None = None
        try:
            while batch := await batches.get():
                if isinstance(batch, StreamcliError):
                    failure = batch
                    break
                self._hand_over(batch)
                await self._until(lambda: len(self._unacknowledged) <= WINDOW)
            await self._until(lambda: not self._unacknowledged)
        except asyncio.CancelledError:
            await self._last_answers()
            raise
        finally:
            self._supervisor.kill()
            watching.cancel()
        if failure:
            raise failure

    def so_far(self) -> str:
        """How many are in the log: exactly, or at least so many when the server has not answered for some."""
        count = f"{self.acknowledged:,} message{' is' if self.acknowledged == 1 else 's are'} in the log."
        return f"At least {count}" if self._in_flight else count

    async def _last_answers(self) -> None:
        """Wait a moment for the server's answers to what it was given."""
        end = time.monotonic() + ANSWERS_WITHIN
        while self._in_flight and (left := end - time.monotonic()) > 0:
            await self._news_within(left)

    async def _news_within(self, seconds: float) -> None:
        # Not wait_for(): before Python 3.12 it loses a Ctrl-C that comes in the same moment as the news.
        self._news.clear()
        timer = self._loop.call_later(seconds, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()

    def _hand_over(self, events: list[bytes]) -> None:
        if not self._unacknowledged:
            self._moved = time.monotonic()
        frames = [pack_write(self._settings.room, event) for event in events]
        self._unacknowledged.extend(frames)
        if self._lane.opened:
            self._in_flight += len(frames)
            self._lane.send(b"".join(frames))

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            if self._refusal:
                raise self._refusal
            left = self._moved + self._settings.timeout - time.monotonic()
            if left <= 0:
                raise Unreachable(
                    f"Gave up after {self._settings.timeout:g} s: {(self._words or 'no answer').rstrip('.')}."
                )
            await self._news_within(left)

    def _orders(self) -> dict[str, Any]:
        return {"scope": self._settings.stream.scope, "stream": self._settings.stream.stream}

    def _due_since(self, last_frame: float) -> float | None:
        return max(last_frame, self._moved) if self._in_flight else None

    def _on_link(self, link: ConnectionStatus) -> None:
        self._words, self._refusal = link.words, link.refusal
        self._news.set()

    def _on_frame(self, frame: Frame, payload: bytes) -> None:
        if frame is Frame.WRITTEN:
            self._loop.call_soon_threadsafe(self._written, unpack_count(payload))

    def _opened(self, fields: dict[str, Any]) -> None:
        # Perhaps not the first worker: what the last one left unacknowledged goes again, with the same ids.
        self._moved = time.monotonic()
        self._in_flight = len(self._unacknowledged)
        self._lane.send(b"".join(self._unacknowledged))

    def _written(self, count: int) -> None:
        for _ in range(count):
            self._unacknowledged.popleft()
        self._in_flight -= count
        self.acknowledged += count
        self._moved = time.monotonic()
        self._news.set()


async def send(
    settings: Settings,
    locate: Callable[[], Controller],
    worker_log: IO[bytes] | int,
    source: Iterable[list[bytes]],
) -> int:
    """Send the lines that ``source`` brings. Returns 0 when all is in the log.

    Raises InputError for a line that can't be sent, Unreachable, NotPermitted, and Interrupted; each says how many are
    in the log.
    """
    ids = Ids(lambda: time.time_ns() // 1_000_000, os.urandom)

    def event(text: str) -> bytes:
        now, id = plausible(_now()), ids.next()
        return encode(make("chat", text, sender=settings.user, id=id, room=settings.room, sent_at=now, typed_at=now))

    if trouble := clock_trouble(_now()):
        print(f"streamcli: {trouble}", file=sys.stderr)
    sender = Sender(settings, locate, worker_log)
    batches: asyncio.Queue[list[bytes] | StreamcliError | None] = asyncio.Queue(2)
    loop = asyncio.get_running_loop()

    def hand_in(batch: list[bytes] | StreamcliError | None) -> bool:
        putting = batches.put(batch)
        try:
            asyncio.run_coroutine_threadsafe(putting, loop).result()
        except (RuntimeError, concurrent.futures.CancelledError):  # the loop has ended: we gave up meanwhile
            putting.close()
            return False
        return True

    def read() -> None:
        end: StreamcliError | None = None
        try:
            for batch in _batches(source, event):
                if not hand_in(batch) or isinstance(batch, StreamcliError):
                    return
        except OSError as error:
            end = from_os_error(error, "standard input")
        hand_in(end)

    if task := asyncio.current_task():
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            on_signal(signal_number, task.cancel)
    start_thread(read, "stdin")
    try:
        await sender.send(batches)
    except asyncio.CancelledError:
        raise Interrupted(f"Interrupted. {sender.so_far()}") from None
    except StreamcliError as error:
        raise type(error)(f"{error} {sender.so_far()}") from error
    return 0


def _batches(pieces: Iterable[list[bytes]], event: Callable[[str], bytes]) -> Iterator[list[bytes] | StreamcliError]:
    """Events, and at the first line that can't be one the error that names it."""
    number = 0
    for lines in pieces:
        batch = []
        for line in lines:
            number += 1
            try:
                text = line.decode("utf-8").removesuffix("\r")
                if text and not text.isspace():
                    batch.append(event(text))
            except (UnicodeDecodeError, TooLong) as error:
                if batch:
                    yield batch
                too_long = f"is too long, a message may take {MAX_EVENT_BYTES:,} bytes in the log"
                what = too_long if isinstance(error, TooLong) else "is not UTF-8"
                yield InputError(f"Line {number} {what}: neither it nor what follows is sent.")
                return
        if batch:
            yield batch


def _now() -> datetime:
    return datetime.now(timezone.utc)
