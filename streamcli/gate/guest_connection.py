"""One connection of a guest: the log's events go up, the guest's come down, and each is checked.

The guest says how far they have read, and takes frames; at most `WINDOW` bytes are on their way (backpressure).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from streamcli.gate.floor import above, shows_below
from streamcli.gate.guest_frames import GuestFrames, Misbehaves, life_of, start_of, write_of
from streamcli.gate.hub import Hub
from streamcli.gate.past_reader import PastReader, Piece
from streamcli.gate.token_bucket import TokenBucket
from streamcli.log.frames import Frame, Received, pack, pack_count, pack_events, pack_json
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.segment import segment_number

WINDOW: Final = 2_000_000  # bytes of events that the guest has not taken; one frame more may be on its way
STARTS_WITHIN: Final = 5.0  # seconds
SILENT_AFTER: Final = 20.0  # seconds without a sign of a guest's, who answers each heartbeat
_PIECE = 1 << 16
_BUSY = 1 << 16  # bytes still to be sent: no heartbeat is needed behind them
_FAREWELL = 1.0  # seconds in which a guest may read why the connection ends

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pass:
    """Who a guest is, and what they may: see the events after ``floor``, and append those that are not refused.

    ``refusal`` gets a routing key and an event, and returns why it is not appended, or "". ``pasts`` limits how many of
    the guest's connections read the log itself at a time: each of them costs a worker.
    """

    name: str
    bucket: TokenBucket
    pasts: asyncio.Semaphore
    refusal: Callable[[str, bytes], str]
    floor: Cursor | None = None


class GuestConnection:
    """Serves one connection until it ends (implements streamcli.gate.hub.Member)."""

    def __init__(
        self,
        hub: Hub,
        who: Pass,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub, self._who, self._reader, self._writer, self._now = hub, who, reader, writer, now
        writer.transport.set_write_buffer_limits(WINDOW)
        self._news = asyncio.Event()
        self._untaken: deque[int] = deque()  # sizes of the frames on their way
        self._due: deque[str] = deque()  # per event that was not answered: "", or why it is refused
        self._writes = False  # whether the guest wants to append
        self._life = 0  # the last WRITABLE that the guest has heard of
        self._unanswered = Counter[Frame]()  # how many WRITABLE and IDLE
        self._heard = now()
        self.is_ending = False

    @property
    def name(self) -> str:
        """The guest's name."""
        return self._who.name

    async def serve(self, welcome: dict[str, Any]) -> None:
        """Serve, beginning with ``welcome``. Raises Misbehaves, OSError, and what prevents reading the log."""
        self._send(pack_json(Frame.WELCOME, **welcome))
        self.tell_status()
        frames = self._frames()
        try:
            first = await asyncio.wait_for(anext(frames), STARTS_WITHIN)
        except (StopAsyncIteration, asyncio.TimeoutError, TimeoutError):
            return
        start = start_of(first)
        self._writes = start.write
        self._hub.members.add(self)
        answering = asyncio.create_task(self._answer(frames))
        feeding = asyncio.create_task(self._feed(start.read)) if start.read is not None else answering
        try:
            if self._writes and self._hub.writer.is_open:
                self.writable()
            await asyncio.wait({answering, feeding}, return_when=asyncio.FIRST_COMPLETED)
            for task in {answering, feeding}:
                if task.done():
                    task.result()
        finally:
            self._hub.members.discard(self)
            for task in (answering, feeding):
                task.cancel()
            await asyncio.wait({answering, feeding})

    def news(self) -> None:
        """Look for more events."""
        self._news.set()

    def writable(self) -> None:
        """Ask for all that was not acknowledged."""
        if self._writes:
            self._due.clear()
            self._unanswered[Frame.WRITABLE] += 1
            self._send(pack_json(Frame.WRITABLE, log=self._hub.writer.log, life=self._hub.writer.life))

    def tell_status(self) -> None:
        """Pass on how the gate's own connection to the log is."""
        status = self._hub.status
        self._send(pack_json(Frame.STATUS, phase=status.phase.value, words=status.words))

    def abort(self) -> None:
        """End at once; the guest connects anew."""
        self.is_ending = True
        self._writer.transport.abort()

    def dismiss(self, words: str) -> None:
        """End, and say why: the guest can do nothing about it."""
        self._send(pack_json(Frame.FAILED, kind="denied", text=words))
        self.is_ending = True
        self._writer.close()
        asyncio.get_running_loop().call_later(_FAREWELL, self._writer.transport.abort)

    def beat(self) -> None:
        """Send a heartbeat, and end when none has been answered for long. Call it every second."""
        if self._now() - self._heard > SILENT_AFTER:
            self.abort()
        elif self._writer.transport.get_write_buffer_size() < _BUSY:
            self._unanswered[Frame.IDLE] += 1
            self._send(pack(Frame.IDLE))

    def _send(self, frame: bytes) -> None:
        if not self.is_ending and not self._writer.transport.is_closing():
            self._writer.write(frame)

    # Down: what the guest sends.

    async def _frames(self) -> AsyncIterator[Received]:
        splitter = GuestFrames()
        while piece := await self._reader.read(_PIECE):
            for frame in splitter.feed(piece):
                self._heard = self._now()
                yield frame

    async def _answer(self, frames: AsyncIterator[Received]) -> None:
        async for kind, payload, _ in frames:
            if self.is_ending:
                return
            if kind is Frame.WRITE and self._writes:
                await self._append(payload)
            elif kind is Frame.TAKEN and self._untaken:
                self._untaken.popleft()
                self._news.set()
            elif kind is Frame.WRITING and self._unanswered[Frame.WRITABLE]:
                self._unanswered[Frame.WRITABLE] -= 1
                self._life = life_of(payload)
            elif kind is Frame.IDLE and self._unanswered[Frame.IDLE]:
                self._unanswered[Frame.IDLE] -= 1
            else:
                raise Misbehaves(f"a frame of type {kind.value}")

    async def _append(self, payload: bytes) -> None:
        writer = self._hub.writer
        key, data = write_of(payload)
        if self._life == writer.life and writer.is_open:  # else it is sent again after the next WRITABLE
            if words := self._who.refusal(key, data):
                _log.warning("an event of %s is refused: %s", self.name, words)
                self._due.append(words)
                self._reject()
            else:
                self._due.append("")
                writer.append(key, data, self._written)
        if wait := self._who.bucket.take(len(payload)):
            await asyncio.sleep(wait)  # reading pauses, and so the guest does
        await writer.room.wait()
        await self._writer.drain()  # who does not read the answers is not read either

    def _written(self, count: int) -> None:
        passed = 0
        while passed < count and self._due:
            self._due.popleft()
            passed += 1
            if self._due and self._due[0]:
                self._send(pack_count(Frame.WRITTEN, passed))
                count, passed = count - passed, 0
                self._reject()
        if passed:
            self._send(pack_count(Frame.WRITTEN, passed))

    def _reject(self) -> None:
        """Answer the refused events before which none waits for an acknowledgement."""
        while self._due and self._due[0]:
            self._send(pack_json(Frame.REJECTED, text=self._due.popleft()))

    # Up: the log's events.

    async def _feed(self, asked: Cursor) -> None:
        ring = self._hub.reader.ring
        await self._until(lambda: self._hub.reader.is_current)
        cursor = above(self._who.floor, asked, ring.cursor.log)
        if ring.follows(cursor) and ring.is_there(cursor):
            opened = _opened_in_ring(cursor, ring.cursor)
            self._send(pack_json(Frame.OPENED, **asdict(opened)))
        else:
            cursor, opened = await self._feed_past(cursor, None)
        is_live = False
        number = ring.begin
        while True:
            self._news.clear()
            if not ring.follows(cursor):
                cursor, _ = await self._feed_past(cursor, opened)
                number = ring.begin
            number, frame, cursor = ring.after(max(number, ring.begin), cursor)
            if frame:
                await self._send_events(frame)
            if not is_live and all(cursor.at(segment) >= tail for segment, tail in opened.tails.items()):
                is_live = True
                self._send(pack(Frame.CAUGHT_UP))
            if not frame:
                await self._news.wait()

    async def _feed_past(self, cursor: Cursor, opened: LogOpened | None) -> tuple[Cursor, LogOpened]:
        """Send the log's events from ``cursor`` on until the ring has what follows.

        Return the cursor then, and what was sent as OPENED, which is ``opened`` if it was sent before.
        """
        async with self._who.pasts:
            past, found = await self._open_past(cursor)
            try:
                if opened is None:
                    opened = found
                    self._send(pack_json(Frame.OPENED, **asdict(found)))
                elif not cursor.reads_on(found):
                    raise ConnectionError("the log begins anew")
                cursor = cursor.opened_at(found)
                while piece := await self._next_piece(past, cursor):
                    pairs = [(event.offset, event.data) for event in piece.events]
                    await self._send_events(pack_events(pairs, segment_number(piece.segment)))
                    cursor = cursor.after(piece.segment, piece.events[-1])
                    piece.taken()
            finally:
                past.close()
        return cursor, opened

    async def _next_piece(self, past: PastReader, cursor: Cursor) -> Piece | None:
        """Wait for the next events of the past; None if the ring has what follows ``cursor``."""
        ring = self._hub.reader.ring
        await self._until(lambda: ring.follows(cursor) or past.pieces or past.is_over)
        if ring.follows(cursor):
            return None
        if not past.pieces:
            raise ConnectionError("the log begins anew")
        return past.pieces.popleft()

    async def _open_past(self, cursor: Cursor) -> tuple[PastReader, LogOpened]:
        """Open the log at ``cursor``, or at its head if the log has no such place, but never below the floor."""
        floor = self._who.floor
        for begin in (cursor, floor, None):
            past = self._hub.open_past(begin, self.news)
            try:
                found = await past.opening()
            except BaseException:
                past.close()
                raise
            if not shows_below(floor, found):
                return past, found
            past.close()
        raise ConnectionError("the log's end is before the guest's beginning")

    async def _send_events(self, frame: bytes) -> None:
        await self._until(lambda: sum(self._untaken) < WINDOW)
        self._untaken.append(len(frame))
        self._send(frame)

    async def _until(self, done: Callable[[], object]) -> None:
        while not done():
            self._news.clear()
            await self._news.wait()


def _opened_in_ring(cursor: Cursor, end: Cursor) -> LogOpened:
    """Return what a guest is told who needs nothing that is older than the ring."""
    starts = {segment: cursor.at(segment) for segment in end.offsets if segment in cursor.offsets or not cursor.offsets}
    one = len(end.offsets) == 1 and max(map(segment_number, end.offsets)) == 0
    return LogOpened(end.log, 1 if one else max(2, len(end.offsets)), starts, dict(end.offsets))
