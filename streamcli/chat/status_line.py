"""`StatusLine`: the connection's state for the bottom line, a message once per outage, and one when a long one ends."""

from __future__ import annotations

from collections.abc import Callable

from streamcli.log.api import ConnectionStatus, Phase
from streamcli.log.outage import Outage

TROUBLE_SAID_AFTER = 0.5  # seconds that a connection is down before the scrollback says so
BAR = 10  # characters of the progress bar for reading the log


class StatusLine:
    """Follows one chat's connection. All calls are for the loop's thread."""

    def __init__(
        self,
        place: str,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
        say: Callable[[str], None],
    ) -> None:
        """``place`` names where messages go; ``later(seconds, what)`` calls ``what`` after that delay."""
        self._place, self._now, self._later, self._say = place, now, later, say
        self._status = ConnectionStatus(Phase.CONNECTING, since=now())
        self._outage = Outage(now)

    @property
    def was_connected(self) -> bool:
        """Whether this chat has been connected before."""
        return self._outage.was_connected

    @property
    def counts_seconds(self) -> bool:
        """Whether the text changes as time passes."""
        return self._status.phase is not Phase.LIVE

    def changed(self, status: ConnectionStatus) -> None:
        """Handle a change of the connection's status."""
        self._status = status
        if over := self._outage.changed(status):
            self._say(over)
        if status.words:
            self._later(TROUBLE_SAID_AFTER, lambda: self._say_trouble(status))

    def words(self, live: bool, progress: float | None) -> str:
        """Describe the connection; while not ``live``, also the share of the log read so far (``progress``, 0 to 1)."""
        status = self._status
        seconds = int(self._now() - status.since)
        waited = f" ({seconds} s)" if seconds else ""
        if status.phase is not Phase.LIVE:
            return f"{status.phase.value}{waited}: {status.words or self._place}"
        if live:
            return f"connected to {self._place}"
        return "reading the log" + ("" if progress is None else f" {progress:.0%} {_bar(progress)}")

    def _say_trouble(self, status: ConnectionStatus) -> None:
        # Once per outage; the bottom line follows it.
        if status is self._status and (status.refused or not self._outage.was_said):
            self._outage.was_said = True
            self._say(f"{status.phase.value}, {self._place}: {status.words}")


def _bar(part: float) -> str:
    full = int(part * BAR)
    return "█" * full + "░" * (BAR - full)
