"""A log in memory: streamcli.log.api.Log without a server, for tests.

Several may share one `MemoryStream`, in any threads. It keeps what the real one keeps: who is called in which thread,
the order, exact offsets, backpressure, connections that are replaced. It is quick, and breaks only when a test says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from streamcli.log.api import AppendListener, ConnectionStatus, Event, Phase, ReadListener, ReadMode
from streamcli.model.cursor import LogOpened
from streamcli.system.guard import report
from tests.memory_stream import Made, MemoryStream

AHEAD = 2  # batches that are not taken yet
END_WITHIN = 5.0  # seconds that the end waits for listeners


class _Life:
    """One connection, from its beginning to its end."""

    def __init__(self) -> None:
        self.over = False
        self.untaken = 0  # batches
        self.stuck: bool | None = None  # whether the next connection leads past what it is to be stuck at


class _Next(NamedTuple):
    """What a connection has to say next, and the index of the event after that."""

    after: int
    batch: list[Event]
    stuck: bool | None


class MemoryReading:
    """The way up: a thread for each connection."""

    def __init__(self, stream: MemoryStream, listener: ReadListener, mode: ReadMode, wake: Callable[[], None]) -> None:
        self.mode = mode
        self.is_open = False
        self.life: _Life | None = None
        self._stream, self._listener, self._wake = stream, listener, wake
        self._loop = asyncio.get_running_loop()

    def replace(self) -> None:
        """End this connection; the next one begins by itself."""
        self.is_open = False
        self.break_off()

    def break_off(self) -> None:
        """For tests: the connection breaks. The log notices when its thread has said all that it had to say."""
        with self._stream.changed:
            if self.life:
                self.life.over = True
                self._stream.changed.notify_all()

    def be_stuck(self, passable: bool) -> None:
        """For tests: the connection gets stuck behind what it has brought; if that is ``passable`` it ends."""
        with self._stream.changed:
            if self.life:
                self.life.stuck = passable
                self._stream.changed.notify_all()

    def begin(self, made: Made) -> None:
        """Connect. Under the stream's lock."""
        self.life = _Life()
        opened, index = made.open(self._listener.cursor())
        work = (self.life, made, opened, index, len(made.events))
        threading.Thread(target=self._live, args=work, name="memory-log", daemon=True).start()

    def _live(self, life: _Life, made: Made, opened: LogOpened, index: int, past: int) -> None:
        try:
            if not life.over:
                self._listener.connected(opened)
                self._post(self._open, life, opened)
                self._bring(life, made, index, past)
        except Exception as error:
            report(self._loop, error)
        finally:
            self._listener.ended()
            self._post(self._end)

    def _bring(self, life: _Life, made: Made, index: int, past: int) -> None:
        """Bring what is in the log, and what comes, until the connection ends."""
        is_live = False
        while not life.over:
            if index >= past and not is_live:
                is_live = True
                self._listener.caught_up()
            index, batch, stuck = self._next(life, made, index, None if is_live else past)
            if batch:
                self._listener.events(made.segment, batch, self._taken(life))
            elif stuck is not None:
                self._listener.stuck(stuck)
                life.over = life.over or stuck

    def _next(self, life: _Life, made: Made, index: int, end: int | None) -> _Next:
        """Wait for what is next; nothing when the connection is over."""

        def has_to_do() -> bool:
            return life.over or life.stuck is not None or (life.untaken < AHEAD and index < len(made.events))

        with self._stream.changed:
            self._stream.changed.wait_for(has_to_do)
            stuck, life.stuck = life.stuck, None
            if life.over or stuck is not None:
                return _Next(index, [], None if life.over else stuck)
            first = max(index, made.first)
            batch = made.batch(first, len(made.events) if end is None else end)
            life.untaken += bool(batch)
            return _Next(first + len(batch), batch, None)

    def _taken(self, life: _Life) -> Callable[[], None]:
        def taken() -> None:
            with self._stream.changed:
                life.untaken -= 1
                self._stream.changed.notify_all()

        return taken

    def _post(self, what: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the test has ended
            self._loop.call_soon_threadsafe(what, *values)

    def _open(self, life: _Life, opened: LogOpened) -> None:
        if not life.over:
            self.is_open = True
            self._listener.opened(opened)
            self._wake()

    def _end(self) -> None:
        self.life, self.is_open = None, False
        self._wake()


class MemoryAppending:
    """The way down. It has no thread: all is done in later steps of the loop."""

    def __init__(self, stream: MemoryStream, listener: AppendListener, wake: Callable[[], None]) -> None:
        self.is_open = False
        self.life: _Life | None = None
        self._stream, self._listener, self._wake = stream, listener, wake
        self._loop = asyncio.get_running_loop()
        self._made: Made | None = None
        self._held, self._unacknowledged = False, 0

    def replace(self) -> None:
        """End this connection; the next one begins by itself."""
        self.is_open = False
        self.break_off()

    def break_off(self) -> None:
        """For tests: the connection breaks. What is handed over before the log notices it is lost."""
        if self.life and not self.life.over:
            self.life.over = True
            self._loop.call_soon(self._end)

    def hold_acknowledgements(self) -> None:
        """For tests: events are appended, and not acknowledged."""
        self._held = True

    def release_acknowledgements(self, count: int | None = None) -> None:
        """For tests: acknowledge ``count`` of those held back, and go on holding; without ``count`` all, and end it."""
        self._held = count is not None
        self._acknowledge(self.life, self._unacknowledged if count is None else count)

    def append(self, routing_key: str, datas: list[bytes]) -> None:
        """Hand events over; dropped while not open."""
        if self.is_open and self.life:
            self._loop.call_soon(self._add, self.life, routing_key, datas)

    def begin(self, made: Made) -> None:
        """Connect. Under the stream's lock."""
        self.life, self._made, self._unacknowledged = _Life(), made, 0
        self._loop.call_soon(self._open, self.life, made.log)

    def refuse(self) -> None:
        """The server does not permit appending."""
        self.break_off()
        self._listener.refused()

    def look(self) -> None:
        """Notice that the stream is no more."""
        if self.life and not self.life.over and self._made is not self._stream.made:
            self.break_off()
            self._loop.call_soon(self._listener.stream_gone)

    def _open(self, life: _Life, log: str) -> None:
        if not life.over:
            self.is_open = True
            self._listener.opened(log)
            self._wake()

    def _end(self) -> None:
        self.life, self.is_open = None, False
        self._wake()

    def _add(self, life: _Life, routing_key: str, datas: list[bytes]) -> None:
        with self._stream.changed:
            self.look()
            if life.over or self._made is None:
                return  # it was on its way
            for data in datas:
                self._made.add(routing_key, data)
            self._stream.changed.notify_all()
        self._unacknowledged += len(datas)
        if not self._held:
            self._loop.call_soon(lambda: self._acknowledge(life, self._unacknowledged))

    def _acknowledge(self, life: _Life | None, count: int) -> None:
        if life and not life.over and count:
            assert count <= self._unacknowledged
            self._unacknowledged -= count
            self._listener.acknowledged(count)


class MemoryLog:
    """One `MemoryStream`, as long as it is used. See `streamcli.log.api.Log`."""

    def __init__(
        self, stream: MemoryStream, on_status: Callable[[ConnectionStatus], None] = lambda status: None
    ) -> None:
        """``on_status`` is called in the loop whenever the connection's status changes."""
        self.stream = stream
        self.reading: MemoryReading | None = None
        self.appending: MemoryAppending | None = None
        self._on_status = on_status
        self._status = ConnectionStatus(Phase.CONNECTING, since=time.monotonic())
        self._refusal: tuple[str, bool] | None = None
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._ending = False
        stream.watchers.append(self._changed)

    def read(self, listener: ReadListener, mode: ReadMode) -> MemoryReading:
        """Have ``listener`` read; once, before `run`."""
        self.reading = MemoryReading(self.stream, listener, mode, self._news.set)
        return self.reading

    def append_for(self, listener: AppendListener) -> MemoryAppending:
        """Have ``listener`` append; once, before `run`."""
        self.appending = MemoryAppending(self.stream, listener, self._news.set)
        return self.appending

    async def run(self) -> None:
        """Keep the connections alive until `kill`."""
        try:
            while not self._ending:
                self._news.clear()
                self._look()
                await self._news.wait()
        finally:
            self.kill()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ended(), END_WITHIN)

    def kill(self) -> None:
        """End all connections now, for good."""
        self._ending = True
        for connection in self._connections:
            connection.replace()
        self._news.set()

    async def clean(self) -> None:
        """Delete the stream of a trial."""
        if self.reading and self.reading.mode is ReadMode.TRIAL:
            self.stream.delete()

    def close(self) -> None:
        """Stop looking at the stream."""
        self.stream.watchers.remove(self._changed)

    @property
    def reads_as(self) -> str:
        """Nobody knows the reader."""
        return ""

    def refuse(self, words: str, final: bool = True) -> None:
        """For tests: all connections end and no more are made, as ``words`` say; ``final`` when only a person helps."""
        self._refusal = words, final
        for connection in self._connections:
            connection.break_off()
        if self.appending and final:
            self.appending.refuse()
        self._news.set()

    def permit(self) -> None:
        """For tests: connections are made again."""
        self._refusal = None
        self._news.set()

    @property
    def _connections(self) -> list[MemoryReading | MemoryAppending]:
        return [connection for connection in (self.reading, self.appending) if connection]

    async def _ended(self) -> None:
        while any(connection.life for connection in self._connections):
            self._news.clear()
            await self._news.wait()

    def _look(self) -> None:
        words, refused = self._refusal or ("", False)
        missing = False
        with self.stream.changed:
            if self.appending:
                self.appending.look()
            for connection in self._connections:
                if connection.life or self._refusal:
                    continue
                looks = isinstance(connection, MemoryReading) and connection.mode is ReadMode.LOOK
                made = self.stream.made if looks else self.stream.make()
                if made:
                    connection.begin(made)
                else:
                    words, missing = "the stream does not exist", True
        self._say(words, refused, missing)

    def _say(self, words: str, refused: bool, missing: bool) -> None:
        phase = Phase.LIVE if all(connection.is_open for connection in self._connections) else Phase.CONNECTING
        last = self._status
        if (phase, words, refused, missing) != (last.phase, last.words, last.refused, last.missing):
            since = last.since if phase is last.phase else time.monotonic()
            self._status = ConnectionStatus(phase, words, since, refused, missing)
            self._on_status(self._status)

    def _changed(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the test has ended
            self._loop.call_soon_threadsafe(self._news.set)
