"""Opens the chat: makes sure there is a server when it is the embedded one, then hands over to the Chatter."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from streamcli import logs
from streamcli.address import Controller, parse_url
from streamcli.chatter import Chatter
from streamcli.config import Settings
from streamcli.errors import Unreachable


def chat(settings: Settings) -> int:
    """Chat until the person leaves; returns the exit code and raises StreamcliError."""
    locate = _locate_embedded(settings) if settings.controller is None else _locate(settings.controller)
    with logs.worker_log() as worker_log:

        async def run() -> int:
            return await Chatter(settings, locate, worker_log).run()

        return asyncio.run(run())


def _locate(controller: Controller) -> Callable[[], Controller]:
    return lambda: controller


def _locate_embedded(settings: Settings) -> Callable[[], Controller]:
    from streamcli import server

    server.ensure_running(server.Lines(sys.stderr), settings.timeout)

    def locate() -> Controller:
        # Looked up anew each time: another start may have taken other ports. Nobody but a new chat starts it.
        if url := server.current_url():
            return parse_url(url)
        raise Unreachable(server.status().detail)

    return locate
