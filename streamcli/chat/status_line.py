"""`StatusLine`: how the connection is, for the bottom line, and the trouble that is said once for each outage."""

from __future__ import annotations

from collections.abc import Callable

from streamcli.log.api import ConnectionStatus, Phase

TROUBLE_SAID_AFTER = 0.5  # seconds that a connection is down before a line in the scrollback says so
BAR = 10  # characters of the bar that shows how much of the log is read


class StatusLine:
    """Follows one chat's connection. All calls are for the loop's thread."""

    def __init__(
        self,
        place: str,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
        say: Callable[[str], None],
    ) -> None:
        """``place`` says where messages go, ``later(seconds, what)`` calls ``what`` after a while."""
        self._place, self._now, self._later, self._say = place, now, later, say
        self._status = ConnectionStatus(Phase.CONNECTING, since=now())
        self._trouble_said = False

    @property
    def counts_seconds(self) -> bool:
        """Whether the words change as time goes by."""
        return self._status.phase is not Phase.LIVE

    def changed(self, status: ConnectionStatus) -> None:
        """The connection's status has changed."""
        self._status = status
        if status.phase is Phase.LIVE:
            self._trouble_said = False
        elif status.words:
            self._later(TROUBLE_SAID_AFTER, lambda: self._say_trouble(status))

    def words(self, live: bool, progress: float | None) -> str:
        """How the connection is; while the chat is not ``live`` also how much of the log is read (0 to 1)."""
        status = self._status
        seconds = int(self._now() - status.since)
        waited = f" ({seconds} s)" if seconds else ""
        if status.phase is not Phase.LIVE:
            return f"{status.phase.value}{waited}: {status.words or self._place}"
        if live:
            return f"connected to {self._place}"
        return "reading the log" + ("" if progress is None else f" {_bar(progress)} {progress:.0%}")

    def _say_trouble(self, status: ConnectionStatus) -> None:
        # Once for each outage, the bottom line follows it.
        if status is self._status and (status.refused or not self._trouble_said):
            self._trouble_said = True
            self._say(f"{status.phase.value}, {self._place}: {status.words}")


def _bar(part: float) -> str:
    full = int(part * BAR)
    return "█" * full + "░" * (BAR - full)
