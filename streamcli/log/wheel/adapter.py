"""`WheelClient`: runs the workers that load the package ``pravega``, each a process."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from typing import IO, Protocol

from streamcli.log.api import ReadMode, Target
from streamcli.log.channel import WorkerEvents
from streamcli.log.process import WorkerProcess
from streamcli.log.wheel.cleaning import clean
from streamcli.log.wheel.groups import GroupNames, head_group
from streamcli.log.wheel.requests import ReadRequest
from streamcli.log.write_request import WriteRequest
from streamcli.model.address import Controller, Stream
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.names import reader_group
from streamcli.system.clock import SYSTEM, Clock

READ_MODULE = "streamcli.log.wheel.read_worker"
WRITE_MODULE = "streamcli.log.wheel.write_worker"
DELETED_AT_ONCE = 20  # groups of earlier runs
DELETED_AFTER = 5.0  # seconds of reading, so that it does not delay what the user waits for
DELETED_WITHIN = 30.0  # seconds; a busy durable server takes up to one for each


class _Names(Protocol):
    """A source of reader group names."""

    def next(self) -> str: ...

    def one_made(self) -> None: ...

    def left_over(self) -> list[str]: ...

    def forget(self, names: list[str]) -> None: ...

    def close(self) -> None: ...


class _EphemeralNames:
    """Names that no file records: the groups are deleted before the program ends, or by the next worker."""

    def __init__(self, owner: str, purpose: str, stream: Stream, clock: Clock) -> None:
        self._owner, self._purpose, self._stream, self._clock = owner, purpose, stream, clock
        self.current = ""
        self._old: list[str] = []
        self._one = False

    def next(self) -> str:
        self._old, self._one = self.names(), False
        purpose = f"{self._purpose}.{self._clock.random_bytes(6).hex()}"
        self.current = reader_group(self._owner, purpose, self._stream.stream)
        return self.current

    def names(self) -> list[str]:
        """Return the groups that may exist."""
        return [self.current, *([] if self._one else [head_group(self.current)])] if self.current else []

    def one_made(self) -> None:
        self._one = True

    def left_over(self) -> list[str]:
        return self._old

    def forget(self, names: list[str]) -> None:
        self._old = [name for name in self._old if name not in names]

    def close(self) -> None:
        pass


class WheelClient:
    """A worker process for each direction, and the reader groups. See `streamcli.log.worker_log.Client`."""

    def __init__(self, target: Target, clock: Clock = SYSTEM) -> None:
        self._target, self._stream, self._log = target, target.stream, target.worker_log
        self._clock = clock
        self._mode = ReadMode.FOLLOW
        self._names: _Names | None = None
        self._group = ""
        self._segments = 0
        self._deleting: asyncio.Task[None] | None = None

    @property
    def reads_as(self) -> str:
        """The name of the reader group."""
        return self._group

    def read(self, mode: ReadMode) -> None:
        """Prepare the names of reader groups."""
        self._mode = mode
        self._names = (
            GroupNames(self._target.folder, self._target.owner, self._stream, self._clock)
            if mode is ReadMode.FOLLOW
            else _EphemeralNames(self._target.owner, mode.value, self._stream, self._clock)
        )

    def start_reader(
        self, cursor: Cursor | None, to: Controller, log: IO[bytes] | int, events: WorkerEvents
    ) -> WorkerProcess:
        """Start a read worker with a reader group of its own."""
        return WorkerProcess(READ_MODULE, to, self.request(cursor), log, events)

    def request(self, cursor: Cursor | None) -> ReadRequest:
        """Return what the next read worker is to do."""
        assert self._names
        begin = cursor or Cursor()
        self._group = self._names.next()
        return ReadRequest(
            scope=self._stream.scope,
            stream=self._stream.stream,
            group=self._group,
            head_group=head_group(self._group),
            # Ephemeral readers delete at once. All others begin to read first: deleting takes seconds.
            old_groups=[] if self._mode is ReadMode.FOLLOW else self._names.left_over(),
            offsets=dict(begin.offsets),
            last=(*begin.last[:2], begin.last[2].hex()) if begin.last else None,
            trace=self._mode is not ReadMode.LOOK,
            at_end=cursor is None,
        )

    def start_writer(self, to: Controller, log: IO[bytes] | int, events: WorkerEvents) -> WorkerProcess:
        """Start a write worker."""
        return WorkerProcess(WRITE_MODULE, to, WriteRequest(self._stream.scope, self._stream.stream), log, events)

    def beats(self, caught_up: bool) -> bool:
        """Return False where the library waits for bytes, without heartbeats."""
        return self._mode is not ReadMode.LOOK or not caught_up

    def opened(self, opened: LogOpened) -> None:
        """Remember which groups the worker has made."""
        self._segments = opened.segments
        if opened.segments == 1 and self._names:
            self._names.one_made()

    def caught_up(self, to: Controller) -> None:
        """Delete the groups of earlier runs some time later."""
        if self._mode is ReadMode.FOLLOW and (self._deleting is None or self._deleting.done()):
            self._deleting = asyncio.create_task(self._delete_left_over(to))

    def kill(self) -> None:
        """Nothing but the workers runs."""
        if self._deleting:
            self._deleting.cancel()

    async def clean(self, to: Controller) -> None:
        """Delete the groups of an ephemeral reader, and the stream of a trial."""
        if self._mode is ReadMode.FOLLOW or not self._group:
            return
        # With one segment whose bytes can be read, the group is already deleted.
        names = [self._group, head_group(self._group)] if self._segments > 1 or self._mode is ReadMode.TRIAL else []
        stream = self._stream.stream if self._mode is ReadMode.TRIAL else ""
        if names or stream:
            await clean(to, self._stream.scope, names, self._log, stream=stream)

    def close(self) -> None:
        """Close the file with the groups' names."""
        if self._names:
            self._names.close()

    async def _delete_left_over(self, to: Controller) -> None:
        """Delete the groups of earlier runs, in a process of its own, so that reading never waits for that."""
        assert self._names
        await asyncio.sleep(DELETED_AFTER)
        if names := self._names.left_over()[:DELETED_AT_ONCE]:
            with contextlib.suppress(OSError, RuntimeError):  # no more processes or memory: later, then
                if await clean(to, self._stream.scope, names, subprocess.DEVNULL, within=DELETED_WITHIN):
                    self._names.forget(names)
