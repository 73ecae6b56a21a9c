"""Measures a message's round trip to the server on a temporary stream, which is deleted afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from streamcli.errors import Unreachable
from streamcli.log.api import Event, ReadMode, Target
from streamcli.log.session import LogSession
from streamcli.model.address import Stream
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.system.clock import SYSTEM, Clock

MESSAGES = 20
DATA = b"a message to measure with"


async def round_trip(target: Target, timeout: float, clock: Clock = SYSTEM) -> tuple[str, list[float]]:
    """Return the name of the reader group and the seconds that each message took there and back.

    Raises NotPermitted, and Unreachable when nothing moves for ``timeout`` seconds.
    """
    stream = Stream(target.stream.scope, f"streamcli-doctor-{clock.random_bytes(4).hex()}")
    session = LogSession(replace(target, stream=stream), timeout, clock=clock)
    up, down = _Up(session), WaitsForOpening(session)
    session.log.read(up, ReadMode.TRIAL)
    connection = session.log.append_for(down)
    times: list[float] = []
    async with session:
        try:
            await session.until(lambda: up.live and connection.is_open)
            for count in range(1, MESSAGES + 1):
                start = clock.monotonic()
                connection.append("doctor", [DATA])
                await session.until(lambda: up.came >= count)  # noqa: B023, it is awaited here
                times.append(clock.monotonic() - start)
        except Unreachable as error:
            why = (session.status.words or "the server answers, but its segment store may not").rstrip(".")
            raise Unreachable(
                f"No message came back within {timeout:g} s: {why}. Can its port be reached from here?"
            ) from error
        finally:
            session.log.kill()
            await session.log.clean()
    return session.log.reads_as, times


class _Up:
    """Counts events as they arrive (implements streamcli.log.api.ReadListener)."""

    def __init__(self, session: LogSession) -> None:
        self._session, self.live, self.came = session, False, 0
        self._loop = session.loop

    def cursor(self) -> Cursor:
        return Cursor()

    def connected(self, opened: LogOpened) -> None:
        pass

    def opened(self, opened: LogOpened) -> None:
        self._session.moved()

    def events(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(self._count, len(batch), taken)

    def caught_up(self) -> None:
        self._loop.call_soon_threadsafe(self._go_live)

    def stuck(self, passable: bool) -> None:
        pass

    def ended(self) -> None:
        pass

    def due_since(self, last_sign: float) -> float | None:
        return last_sign

    def _count(self, count: int, taken: Callable[[], None]) -> None:
        self.came += count
        taken()
        self._session.moved()

    def _go_live(self) -> None:
        self.live = True
        self._session.moved()


class WaitsForOpening:
    """Waits for the connection, and for nothing else (implements streamcli.log.api.AppendListener)."""

    def __init__(self, session: LogSession) -> None:
        self._session = session

    def opened(self, log: str) -> None:
        """Say that something has moved."""
        self._session.moved()

    def acknowledged(self, count: int) -> None:
        """Ignore it: what is appended is measured when it is read."""

    def refused(self) -> None:
        """Ignore it: the session's status says it too."""

    def rejected(self, words: str) -> None:
        """Ignore it: nothing is appended that could be."""

    def stream_gone(self) -> None:
        """Ignore it: the next connection makes the stream again."""

    def due_since(self, last_sign: float) -> float | None:
        """Return None: nothing is waited for."""
        return None
