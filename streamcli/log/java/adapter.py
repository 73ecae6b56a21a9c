"""`JavaClient`: runs the workers that use Pravega's Java client, in one host process."""

from __future__ import annotations

import asyncio
from typing import IO

from streamcli.java.client import JavaRuntime, make_archive_later
from streamcli.log.api import ReadMode, Target
from streamcli.log.channel import WorkerEvents, done_within
from streamcli.log.java.host_process import HostedWorker, HostProcess
from streamcli.log.java.requests import CleanRequest, ReadRequest
from streamcli.log.write_request import WriteRequest
from streamcli.model.address import Controller
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.system.guard import start_thread

ARCHIVED_AFTER = 10.0  # seconds of reading: by then the classes are loaded that a client needs
CLEANED_WITHIN = 8.0  # seconds, of which the JVM takes about one to start


class JavaClient:
    """A host process with both workers. It leaves nothing on the server. See `streamcli.log.worker_log.Client`."""

    def __init__(self, runtime: JavaRuntime, target: Target) -> None:
        self._target, self._stream = target, target.stream
        self._host = HostProcess(runtime)
        self._mode = ReadMode.FOLLOW
        self._archiving: asyncio.TimerHandle | None = None

    @property
    def reads_as(self) -> str:
        """Nothing: segments are read without a reader group."""
        return ""

    def read(self, mode: ReadMode) -> None:
        """Remember the mode."""
        self._mode = mode

    def start_reader(
        self, cursor: Cursor | None, to: Controller, log: IO[bytes] | int, events: WorkerEvents
    ) -> HostedWorker:
        """Start a read worker."""
        begin = cursor or Cursor()
        request = ReadRequest(
            scope=self._stream.scope,
            stream=self._stream.stream,
            make=self._mode is not ReadMode.LOOK,
            offsets=dict(begin.offsets),
            last=(*begin.last[:2], begin.last[2].hex()) if begin.last else None,
            at_end=cursor is None,
        )
        return self._host.start_worker("read", request, to, log, events)

    def start_writer(self, to: Controller, log: IO[bytes] | int, events: WorkerEvents) -> HostedWorker:
        """Start a write worker."""
        request = WriteRequest(self._stream.scope, self._stream.stream)
        return self._host.start_worker("write", request, to, log, events)

    def beats(self, caught_up: bool) -> bool:
        """Return True: a read worker always sends heartbeats."""
        return True

    def opened(self, opened: LogOpened) -> None:
        """Nothing was made on the server."""

    def caught_up(self, to: Controller) -> None:
        """Build the archive of classes some time later, if it is missing."""
        if self._archiving is None:
            loop = asyncio.get_running_loop()
            self._archiving = loop.call_later(ARCHIVED_AFTER, start_thread, make_archive_later, "class archive")

    def kill(self) -> None:
        """End the host process."""
        if self._archiving:
            self._archiving.cancel()
        self._host.kill()

    async def clean(self, to: Controller) -> None:
        """Delete the stream of a trial."""
        if self._mode is ReadMode.TRIAL:
            request = CleanRequest(self._stream.scope, self._stream.stream)
            log = self._target.worker_log
            await done_within(CLEANED_WITHIN, lambda events: self._host.start_worker("clean", request, to, log, events))
            self._host.kill()

    def close(self) -> None:
        """There are no files."""
