"""Reads the log for all guests: one connection, whose events go into the ring."""

from __future__ import annotations

from collections.abc import Callable

from streamcli.gate.loop_listener import LoopListener
from streamcli.gate.ring import Ring
from streamcli.log.api import Event, Log, ReadMode
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.system.guard import post


class SharedReader(LoopListener):
    """Fills the ring (implements streamcli.log.api.ReadListener). All but the listener's methods are for the loop."""

    def __init__(
        self,
        log: Log,
        begin: Cursor | None,
        on_events: Callable[[], None],
        on_another: Callable[[], None],
    ) -> None:
        """Begin to read at ``begin``, or at the log's end.

        ``on_events`` is called when there are more; ``on_another`` when the ring begins anew: it is another log, or
        its head was cut off.
        """
        super().__init__()
        self.ring = Ring()
        self.exact = False  # whether offsets are known, without which nobody can be served
        self._caught_up = False  # since the ring began
        self._begin = begin
        self._on_events, self._on_another = on_events, on_another
        self.connection = log.read(self, ReadMode.FOLLOW)

    @property
    def is_open(self) -> bool:
        """Whether the log is being read."""
        return self.exact and self.connection.is_open

    @property
    def is_current(self) -> bool:
        """Whether guests can be served.

        A ring that began in the past ends before guests who had read further until it has caught up. Each of them would
        then be served from a log of its own, and who has just joined would begin at an end that is none.
        """
        return self.is_open and self._caught_up

    def cursor(self) -> Cursor | None:
        """Return how far the log was read."""
        return self.ring.cursor if self.ring.cursor.offsets else self._begin

    def opened(self, opened: LogOpened) -> None:
        """Tell who waits for the log."""
        self._on_events()

    def caught_up(self) -> None:
        """Pass it to the loop."""
        post(self._loop, self._is_caught_up)

    def due_since(self, last_sign: float) -> float | None:
        """Expect a heartbeat at any time: the ring takes all at once."""
        return last_sign

    def _connected(self, opened: LogOpened) -> None:
        before = self.ring.cursor.offsets
        self.exact = bool(opened.starts)
        if not self.ring.opened(opened):
            self._caught_up = False
            if before:
                self._on_another()

    def _is_caught_up(self) -> None:
        self._caught_up = True
        self._on_events()

    def _arrived(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        taken()
        if segment:
            self.ring.add(segment, batch)
            self._on_events()
