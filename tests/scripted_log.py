"""A log whose part the test plays: it keeps who listens and what was asked of it, and does nothing by itself."""

from __future__ import annotations

from collections.abc import Callable

from streamcli.log.api import AppendListener, ReadListener, ReadMode


class ScriptedConnection:
    """One direction: the test says when it is open, and counts how often it was to be replaced."""

    def __init__(self) -> None:
        self.is_open = False
        self.replaced = 0
        self.on_append: Callable[[str, list[bytes]], None] = lambda routing_key, datas: None

    def replace(self) -> None:
        self.is_open = False
        self.replaced += 1

    def append(self, routing_key: str, datas: list[bytes]) -> None:
        self.on_append(routing_key, datas)


class ScriptedLog:
    """See `streamcli.log.api.Log`."""

    reader: ReadListener
    appender: AppendListener
    mode: ReadMode

    def __init__(self) -> None:
        self.connection = ScriptedConnection()  # for tests in which there is one direction only

    def read(self, listener: ReadListener, mode: ReadMode) -> ScriptedConnection:
        self.reader, self.mode = listener, mode
        return self.connection

    def append_for(self, listener: AppendListener) -> ScriptedConnection:
        self.appender = listener
        return self.connection

    async def run(self) -> None:
        pass

    def kill(self) -> None:
        pass

    async def clean(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def reads_as(self) -> str:
        return ""
