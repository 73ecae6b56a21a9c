"""`Outage`: whether and since when the connection is down, and the line that says that it is back."""

from __future__ import annotations

from collections.abc import Callable

from streamcli.log.api import ConnectionStatus, Phase
from streamcli.model.numbers import duration

END_SAID_FROM = 3.0  # seconds: the end of a shorter outage is not worth a line


class Outage:
    """Follows one connection, for the lines that a person reads about it. It starts out as not connected."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now()`` returns monotonic seconds."""
        self._now = now
        self._since: float | None = now()
        self.was_said = False  # set it when a line was shown that says that the connection is down
        self.was_connected = False

    def changed(self, status: ConnectionStatus) -> str:
        """Handle a change of the status; return the line that ends an outage which was said and took long, else ""."""
        if status.phase is not Phase.LIVE:
            if self._since is None:
                self._since = self._now()
            return ""
        lasted = 0.0 if self._since is None else self._now() - self._since
        again = " again" if self.was_connected else ""
        worth_a_line = self.was_said and lasted >= END_SAID_FROM
        self._since, self.was_said, self.was_connected = None, False, True
        return f"connected{again} after {duration(lasted)}" if worth_a_line else ""
