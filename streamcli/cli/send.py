"""``streamcli send``: sends a text or the lines of standard input in order, and reports exactly how far it got."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from streamcli.config import Settings
from streamcli.errors import InputError, Interrupted, NotPermitted, StreamcliError, from_os_error
from streamcli.log.api import Target
from streamcli.log.session import LogSession
from streamcli.model.message import MAX_EVENT_BYTES, Ids, TooLong, clock_trouble, encode, make, plausible
from streamcli.system.clock import Clock
from streamcli.system.guard import start_thread
from streamcli.system.signals import on_signal

WINDOW = 4000  # lines in flight: enough to keep the writer busy, few enough to hold in memory
ANSWERS_WITHIN = 0.5  # seconds that an interrupted send waits for acknowledgements


class Sender:
    """Sends events to the log and counts the server's acknowledgements."""

    def __init__(self, settings: Settings, target: Target, clock: Clock) -> None:
        self._room, self._now = settings.room, clock.monotonic
        self.acknowledged_count = 0
        self._unacknowledged: deque[bytes] = deque()
        self._in_flight = 0
        self._came_to_something = True  # whether the connection before this one acknowledged anything
        self._handed_over = 0.0  # monotonic seconds of the last hand-over or acknowledgement
        self._session = LogSession(target, settings.timeout, clock=clock)
        self._connection = self._session.log.append_for(self)

    async def send(self, batches: asyncio.Queue[list[bytes] | StreamcliError | None]) -> None:
        """Send batches until None; raise an error from the queue once all before it is in the log.

        Raises NotPermitted at once and Unreachable when nothing moves for the settings' timeout.
        """
        async with self._session:
            try:
                while batch := await batches.get():
                    if isinstance(batch, StreamcliError):
                        await self._all_sent()
                        raise batch
                    self._hand_over(batch)
                    await self._session.until(lambda: len(self._unacknowledged) <= WINDOW)
                await self._all_sent()
            except asyncio.CancelledError:
                await self._last_answers()
                raise

    def so_far(self) -> str:
        """Say how many messages are in the log; "at least" if acknowledgements are missing."""
        count = f"{self.acknowledged_count:,} message{' is' if self.acknowledged_count == 1 else 's are'} in the log."
        return f"At least {count}" if self._in_flight else count

    async def _all_sent(self) -> None:
        await self._session.until(lambda: not self._unacknowledged)

    async def _last_answers(self) -> None:
        """Wait briefly for the acknowledgements of sent events."""
        end = self._now() + ANSWERS_WITHIN
        while self._in_flight and (left := end - self._now()) > 0:
            await self._session.news_within(left)

    def _hand_over(self, events: list[bytes]) -> None:
        if not self._unacknowledged:
            self._moved()
        self._unacknowledged.extend(events)
        if self._connection.is_open:
            self._in_flight += len(events)
            self._connection.append(self._room, events)

    def _moved(self) -> None:
        self._handed_over = self._now()
        self._session.moved()

    # Implements streamcli.log.api.AppendListener.

    def opened(self, log: str) -> None:
        """Send unacknowledged events again, with the same ids: this may not be the first connection."""
        if self._came_to_something:  # one that opens and then fails on each event is no progress
            self._moved()
        self._came_to_something = False
        self._in_flight = len(self._unacknowledged)
        self._connection.append(self._room, list(self._unacknowledged))

    def acknowledged(self, count: int) -> None:
        """Count ``count`` more events that are in the log."""
        for _ in range(count):
            self._unacknowledged.popleft()
        self._in_flight -= count
        self._came_to_something = True
        self.acknowledged_count += count
        self._moved()

    def refused(self) -> None:
        """Ignore it: the session's status reports it too."""

    def rejected(self, words: str) -> None:
        """End: neither this message nor what follows is sent."""
        self._session.fail(NotPermitted(f"A message is refused: {words}."))

    def stream_gone(self) -> None:
        """Ignore it: the next connection creates the stream again."""

    def due_since(self, last_sign: float) -> float | None:
        """Return since when an acknowledgement has been due; None if nothing is in flight."""
        return max(last_sign, self._handed_over) if self._in_flight else None


async def send(
    settings: Settings,
    target: Target,
    source: Iterable[list[bytes]],
    clock: Clock,
) -> int:
    """Send the lines that ``source`` yields. Returns 0 when all is in the log.

    Raises InputError for a line that can't be sent, Unreachable, NotPermitted, and Interrupted; each says how many are
    in the log.
    """
    ids = Ids(clock.milliseconds, clock.random_bytes)

    def event(text: str) -> bytes:
        now, id = plausible(clock.now()), ids.next()
        return encode(make("chat", text, sender=settings.user, id=id, room=settings.room, sent_at=now, typed_at=now))

    if trouble := clock_trouble(clock.now()):
        print(f"streamcli: {trouble}", file=sys.stderr)
    sender = Sender(settings, target, clock)
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
    """Yield events; at the first invalid line, yield the error that names it and stop."""
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
