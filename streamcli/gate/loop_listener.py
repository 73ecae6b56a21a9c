"""Passes on what a log says in its own thread to the event loop, in the log's order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from streamcli.log.api import Event
from streamcli.model.cursor import LogOpened
from streamcli.system.guard import post

_EMPTIED_WITHIN = 5.0  # seconds for the loop to take the last events of a connection


class LoopListener:
    """The part of streamcli.log.api.ReadListener that is called in the log's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def connected(self, opened: LogOpened) -> None:
        """Pass it to the loop."""
        post(self._loop, self._connected, opened)

    def events(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        """Pass them to the loop."""
        post(self._loop, self._arrived, segment, batch, taken)

    def stuck(self, passable: bool) -> None:
        """Ignore it: the next connection gets past it, or nobody can."""

    def ended(self) -> None:
        """Wait until the loop has taken all."""
        emptied = threading.Event()
        post(self._loop, emptied.set)
        emptied.wait(_EMPTIED_WITHIN)

    def _connected(self, opened: LogOpened) -> None:
        """In the loop: a connection begins."""
        raise NotImplementedError

    def _arrived(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        """In the loop: the next events."""
        raise NotImplementedError
