"""Where the embedded server is now, for whoever connects to it again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from streamcli.errors import Unreachable
from streamcli.model.address import Controller, parse_url
from streamcli.server.control import login, status, why_not
from streamcli.server.watch import CrashRestarter

_LOOK = 0.02  # seconds for a check: it runs in the loop that draws


def locating(restart: bool, timeout: float) -> Callable[[], Controller]:
    """Return a function that returns the server's controller, or raises Unreachable with a sentence for the user.

    With ``restart`` a server that crashed is started again in the background, which may take ``timeout`` seconds; one
    that was stopped deliberately is not.
    """
    look = CrashRestarter(timeout).look if restart else status

    def locate() -> Controller:
        # Looked up each time: another start may have used other ports.
        now = look(patience=_LOOK)
        if why := why_not(now, restarts=restart):
            raise Unreachable(why)
        assert now.url
        return replace(parse_url(now.url), login=login())

    return locate
