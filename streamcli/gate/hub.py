"""The log as all guests share it, and all who are connected."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeAlias

from streamcli.gate.past_reader import PastReader
from streamcli.gate.shared_reader import SharedReader
from streamcli.gate.shared_writer import SharedWriter
from streamcli.log.api import ConnectionStatus, Log, Phase
from streamcli.model.cursor import Cursor
from streamcli.system.clock import SYSTEM, Clock

OpenLog: TypeAlias = Callable[[Callable[[ConnectionStatus], None]], Log]

_log = logging.getLogger(__name__)


class Member(Protocol):
    """A guest's connection, as the hub needs it."""

    def news(self) -> None:
        """The log was opened, or more events came."""

    def writable(self) -> None:
        """Events can be appended; what was not acknowledged is to be sent again."""

    def tell_status(self) -> None:
        """The state of the gate's own connection to the log has changed."""

    def abort(self) -> None:
        """The guest has to connect anew."""


class Hub:
    """One log, read and written once for everybody. All calls are for the loop's thread."""

    def __init__(self, open_log: OpenLog, begin: Cursor | None = None, clock: Clock = SYSTEM) -> None:
        """Begin to read at ``begin``, or at the log's end.

        ``open_log`` opens the log once more, and gets who is told of its status. Raises what it raises.
        """
        self._open_log = open_log
        self.members: set[Member] = set()
        self.status = ConnectionStatus(Phase.CONNECTING)
        self._log = open_log(self._status_changed)
        self.reader = SharedReader(self._log, begin, self._news, self._another)
        self.writer = SharedWriter(self._log, self._writable, self._gone, clock.monotonic)

    async def run(self) -> None:
        """Keep the connection alive until `close`."""
        await self._log.run()

    def close(self) -> None:
        """End it permanently."""
        self._log.kill()
        self._log.close()

    def open_past(self, cursor: Cursor | None, on_news: Callable[[], None]) -> PastReader:
        """Read the log for one guest, from ``cursor`` on, or from its end; ``on_news`` is called when there is more."""
        return PastReader(self._open_log(lambda status: None), cursor, on_news)

    def _status_changed(self, status: ConnectionStatus) -> None:
        self.status = status
        if status.phase is Phase.LIVE and not self.reader.exact:
            words = "this stream has several segments, for which the gate's machine needs Pravega's Java client"
            self.status = replace(status, phase=Phase.CONNECTING, words=words)
        for member in list(self.members):
            member.tell_status()

    def _news(self) -> None:
        self._same_log()
        for member in self.members:
            member.news()

    def _writable(self) -> None:
        self._same_log()
        for member in list(self.members):
            member.writable()

    def _another(self) -> None:
        _log.info("the log begins anew: all guests connect again")
        for member in list(self.members):
            member.abort()

    def _gone(self) -> None:
        self.reader.connection.replace()

    def _same_log(self) -> None:
        """Replace the reader of a stream that was deleted and made anew: it would wait for ever."""
        both = self.reader.is_open and self.writer.is_open
        if both and self.writer.log != self.reader.ring.cursor.log:
            self.reader.connection.replace()
