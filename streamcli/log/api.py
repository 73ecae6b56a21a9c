"""The log boundary: all that the rest of the program knows of a log.

A `Log` is one stream on a server. Events are delivered in batches, starting at a cursor, in the log's own thread;
events to append are sent, and the server's acknowledgements come back. Each direction is a connection that is replaced
when it breaks; the new one begins where its listener says. docs/decisions/0016-log-boundary.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from streamcli.errors import NotPermitted, Unusable
from streamcli.model.address import Controller, Stream, WantedClient
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.joined_chat import JoinedChat


class Event(NamedTuple):
    """One event of the log: its offset, the offset just past it (both in bytes), and its data."""

    offset: int
    end: int
    data: bytes


class Phase(Enum):
    """The state of the connection, in the word that the user sees."""

    CONNECTING = "connecting"
    LIVE = "connected"
    STALLED = "waiting"


@dataclass(frozen=True)
class ConnectionStatus:
    """The state of the connection to the server; ``words`` gives the reason when something is wrong."""

    phase: Phase
    words: str = ""
    since: float = 0.0  # monotonic seconds
    refused: bool = False  # retrying is useless: a person must change the account, a right, a certificate or Java
    missing: bool = False  # the stream does not exist
    unusable: bool = False  # refused not by the server but by this machine: the client can't be used on it

    @property
    def refusal(self) -> NotPermitted | Unusable | None:
        """The error to raise in commands that can't wait for such a change; None while a retry can help."""
        if not self.refused:
            return None
        sentence = f"{self.words[0].upper()}{self.words[1:]}."
        return Unusable(sentence) if self.unusable else NotPermitted(sentence)


@dataclass(frozen=True)
class Target:
    """A log and what an adapter needs to use it.

    ``locate`` returns the controller before each connection, or raises Unreachable with a sentence for the user. Reader
    groups are named after ``owner`` and recorded in files in ``folder``. ``worker_log`` takes the standard error of
    worker processes. ``client`` is the client to use; without one it is chosen. With a ``gate`` the log is
    somebody else's, and only their gate is used.
    """

    stream: Stream
    owner: str
    locate: Callable[[], Controller]
    folder: Path
    worker_log: IO[bytes] | int
    client: WantedClient | None = None
    gate: JoinedChat | None = None


class ReadMode(Enum):
    """What reading may leave on the server."""

    FOLLOW = "follow"  # the stream is created if missing; a later start deletes what is left
    LOOK = "look"  # no stream is created, and `Log.clean` deletes the rest
    TRIAL = "trial"  # the stream is created, and `Log.clean` deletes it with all the rest


class ReadListener(Protocol):
    """The reading side. Each method says in which thread it is called; calls in the log's thread keep their order."""

    def cursor(self) -> Cursor | None:
        """In the loop: return where the next connection begins, None for the log's end at that time."""

    def connected(self, opened: LogOpened) -> None:
        """In the log's thread, before the connection's first event. Returns when all earlier events were processed."""

    def opened(self, opened: LogOpened) -> None:
        """In the loop, in the same step in which the connection starts to count as open."""

    def events(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        """In the log's thread: the next events of ``segment``; "" where offsets are not known (`LogOpened`).

        Call ``taken`` in the loop once they are processed (backpressure).
        """

    def caught_up(self) -> None:
        """In the log's thread: what follows is live."""

    def stuck(self, passable: bool) -> None:
        """In the log's thread: an event blocks this connection; ``passable`` if the next one will get past it."""

    def ended(self) -> None:
        """In the log's thread, after a connection's last event. Returns when all its events were processed."""

    def due_since(self, last_sign: float) -> float | None:
        """In the loop: since when (monotonic seconds) a sign of life has been due, None when none is due.

        ``last_sign`` is the time of the last one.
        """


class AppendListener(Protocol):
    """The appending side. All calls come in the loop."""

    def opened(self, log: str) -> None:
        """A connection to the log with this id is open. Resend what earlier connections did not acknowledge."""

    def acknowledged(self, count: int) -> None:
        """The server has stored ``count`` more events, in the order in which they were appended."""

    def refused(self) -> None:
        """The server does not permit appending."""

    def rejected(self, words: str) -> None:
        """The oldest event that is not acknowledged is refused, and only that; ``words`` say why."""

    def stream_gone(self) -> None:
        """The opened stream no longer exists; its readers would wait forever."""

    def due_since(self, last_sign: float) -> float | None:
        """Like `ReadListener.due_since`."""


class Connection(Protocol):
    """One direction of a log. All calls are for the loop's thread."""

    @property
    def is_open(self) -> bool:
        """Whether the stream is open now."""

    def replace(self) -> None:
        """End this connection; the next one starts automatically."""


class AppendConnection(Connection, Protocol):
    """The connection that appends."""

    def append(self, routing_key: str, datas: list[bytes]) -> None:
        """Send events in order, without waiting. Dropped while not open: `AppendListener.opened` resends."""


class Log(Protocol):
    """One stream on a server, for as long as it is used. All calls are for the loop's thread."""

    def read(self, listener: ReadListener, mode: ReadMode) -> Connection:
        """Start reading for ``listener``. Call once, before `run`. Raises CannotCreate or FileTrouble for log files."""

    def append_for(self, listener: AppendListener) -> AppendConnection:
        """Start appending for ``listener``. Call once, before `run`."""

    async def run(self) -> None:
        """Keep the connections alive until `kill`."""

    def kill(self) -> None:
        """End all connections permanently."""

    async def clean(self) -> None:
        """After `kill`: delete on the server what the `ReadMode` demands, as far as that is quickly done."""

    def close(self) -> None:
        """Close the files."""

    @property
    def reads_as(self) -> str:
        """The server's name for the reader, for display; "" if it has none."""
