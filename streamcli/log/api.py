"""The log boundary: all that the rest of the program knows of a log.

A `Log` stands for one stream on a server. Events come up in batches, from a cursor on, in a thread of the log's own;
events to append go down, and the server's acknowledgements come back. Each direction is a connection that is replaced
when it breaks, and a replaced one begins where its listener says. docs/decisions/0016-log-boundary.md has the why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from streamcli.errors import NotPermitted
from streamcli.model.address import Controller, Stream
from streamcli.model.cursor import Cursor, LogOpened


class Event(NamedTuple):
    """One event of the log: its offset and the offset just past it (bytes), and its data."""

    offset: int
    end: int
    data: bytes


class Phase(Enum):
    """How the connection is, in the word that a person sees."""

    CONNECTING = "connecting"
    LIVE = "connected"
    STALLED = "waiting"


@dataclass(frozen=True)
class ConnectionStatus:
    """How the connection to the server is, with the reason in ``words`` when it is not well."""

    phase: Phase
    words: str = ""
    since: float = 0.0  # monotonic seconds
    refused: bool = False  # retrying is of no use: a person must change the account, a right or a certificate
    missing: bool = False  # the stream does not exist

    @property
    def refusal(self) -> NotPermitted | None:
        """The error to raise where nobody waits for a person to change that; None while a retry can help."""
        return NotPermitted(f"{self.words[0].upper()}{self.words[1:]}.") if self.refused else None


@dataclass(frozen=True)
class Target:
    """Which log, and what an adapter needs to use it.

    ``locate`` names the controller before each connection, or raises Unreachable in words for the person. Reader groups
    are named after ``owner``, and files in ``folder`` remember them. ``worker_log`` takes the standard error of worker
    processes.
    """

    stream: Stream
    owner: str
    locate: Callable[[], Controller]
    folder: Path
    worker_log: IO[bytes] | int


class ReadMode(Enum):
    """What reading may leave on the server."""

    FOLLOW = "follow"  # the stream is made if it is missing; what is left there is deleted by a later start
    LOOK = "look"  # no stream is made, and `Log.clean` deletes the rest
    TRIAL = "trial"  # the stream is made, and `Log.clean` deletes it with all the rest


class ReadListener(Protocol):
    """Who reads a log. Calls come in one of two threads, as each says; those in the log's thread keep their order."""

    def cursor(self) -> Cursor:
        """In the loop: where the next connection begins."""

    def connected(self, opened: LogOpened) -> None:
        """In the log's thread, before the connection's first event. Returns when all that came before was used."""

    def opened(self, opened: LogOpened) -> None:
        """In the loop, in the same step in which the connection counts as open."""

    def events(self, batch: list[Event], taken: Callable[[], None]) -> None:
        """In the log's thread: the next events. Call ``taken`` in the loop when they were used: backpressure."""

    def caught_up(self) -> None:
        """In the log's thread: what follows is live."""

    def stuck(self, passable: bool) -> None:
        """In the log's thread: an event stops this connection; ``passable`` when the next one leads past it."""

    def ended(self) -> None:
        """In the log's thread, after a connection's last event. Returns when all that it brought was used."""

    def due_since(self, last_sign: float) -> float | None:
        """In the loop: since when (monotonic seconds) a sign of life has been due, None when none is due.

        ``last_sign`` is when the last one came.
        """


class AppendListener(Protocol):
    """Who appends to a log. All calls come in the loop."""

    def opened(self, log: str) -> None:
        """A connection to the log of this id is open. What earlier ones did not acknowledge is to be resent."""

    def acknowledged(self, count: int) -> None:
        """The server has so many more of the events, in the order in which they were appended."""

    def refused(self) -> None:
        """The server does not permit appending."""

    def stream_gone(self) -> None:
        """The stream that was opened does not exist any more; its readers would wait for ever."""

    def due_since(self, last_sign: float) -> float | None:
        """As `ReadListener.due_since`."""


class Connection(Protocol):
    """One direction of a log. All calls are for the loop's thread."""

    @property
    def is_open(self) -> bool:
        """Whether the stream is open now."""

    def replace(self) -> None:
        """End this connection; the next one begins by itself."""


class AppendConnection(Connection, Protocol):
    """The way down."""

    def append(self, routing_key: str, datas: list[bytes]) -> None:
        """Hand events over, in order, without waiting. Dropped while not open: `AppendListener.opened` resends."""


class Log(Protocol):
    """One stream on a server, as long as it is used. All calls are for the loop's thread."""

    def read(self, listener: ReadListener, mode: ReadMode) -> Connection:
        """Have ``listener`` read; once, before `run`. Raises CannotCreate or FileTrouble for files of the log's own."""

    def append_for(self, listener: AppendListener) -> AppendConnection:
        """Have ``listener`` append; once, before `run`."""

    async def run(self) -> None:
        """Keep the connections alive until `kill`."""

    def kill(self) -> None:
        """End all connections now, for good."""

    async def clean(self) -> None:
        """After `kill`: delete on the server what the `ReadMode` says, as far as that is quickly done."""

    def close(self) -> None:
        """Let files go."""

    @property
    def reads_as(self) -> str:
        """Under which name the server knows the reader, for a person; "" where it knows none."""
