"""The writing lane: appends events and acknowledges them.

Events queued in the socket are written together, and their acknowledgements are waited for together, so a single event
costs one round trip and a burst hardly more. In between it checks that the stream is still the one it opened.
"""

from __future__ import annotations

import contextlib
from itertools import groupby
from typing import Any

from streamcli.log.frames import Frame, Splitter, pack_count, pack_json, unpack_write
from streamcli.log.java.client import Gone, Manager, calm, java, kind
from streamcli.log.java.lane import Lane
from streamcli.log.java.stream import JavaStream
from streamcli.log.log_id import Denied, log_id, needing
from streamcli.log.write_request import WriteRequest

LOOK_EVERY = 2.0  # seconds without anything to write
_FOR_EVER = 1e9  # the prompt's process decides how long to wait for an acknowledgement
_RUN = 500  # events written at once
_RUN_BYTES = 1 << 20
_IMPL = "io.pravega.client.stream"


def write(request: WriteRequest, manager: Manager, lane: Lane) -> None:
    """Write until the lane ends."""
    stream = JavaStream(manager, lane, request.scope, request.stream)
    pool = manager.make_pool()  # of its own: closing it ends the writer at once, whatever it waits for
    lane.at_end(pool.close)
    try:
        log = stream.open()
        look = _Look(stream, log)
        refusal = _refusal(stream)
        writer = None if refusal else _Writer(manager, pool, request)
        lane.send(pack_json(Frame.OPENED, log=log))
        splitter = Splitter()
        while True:
            while not lane.has_input(LOOK_EVERY):
                look.check()
                calm(pool)
            frames = splitter.feed(lane.receive())
            events = [unpack_write(frame.payload) for frame in frames if frame.kind is Frame.WRITE]
            if writer is None:
                assert refusal
                raise refusal
            for future, count in writer.write(events):
                lane.get(future, _FOR_EVER)
                lane.send(pack_count(Frame.WRITTEN, count))
    finally:
        with contextlib.suppress(Exception):
            stream.close()


def _refusal(stream: JavaStream) -> Denied | None:
    """Return why the server does not permit writing, None if it does; the writer itself would try for seconds."""
    try:
        with needing(f"prn::/scope:{stream.scope}/stream:{stream.name}", "append to the stream", kind):
            stream.may_write()
    except Denied as denied:
        return denied
    return None


class _Writer:
    """The client's writer."""

    def __init__(self, manager: Manager, pool: Any, request: WriteRequest) -> None:
        import jpype

        factory = java(f"{_IMPL}.impl.ClientFactoryImpl")(request.scope, manager.controller, pool)
        # Without pooling, no pool would know the writer's connections: each, with 1 MiB, would outlive its writer.
        config = java(f"{_IMPL}.EventWriterConfig").builder().enableConnectionPooling(True).maxBackoffMillis(1000)
        serializer = java(f"{_IMPL}.impl.ByteArraySerializer")()
        self._writer = factory.createEventWriter(request.stream, serializer, config.build())
        self._bytes = jpype.JArray(jpype.JByte)
        self._list = java("java.util.Arrays").asList

    def write(self, events: list[tuple[str, bytes]]) -> list[tuple[Any, int]]:
        """Write events; return, in order, the futures of their acknowledgements, each with how many it is for."""
        futures = []
        for key, run in groupby(events, key=lambda event: event[0]):
            for datas in _runs([data for _, data in run]):
                if len(datas) == 1:
                    futures.append((self._writer.writeEvent(key, self._bytes(datas[0])), 1))
                else:
                    together = self._list(*map(self._bytes, datas))
                    futures.append((self._writer.writeEvents(key, together), len(datas)))
        return futures


def _runs(datas: list[bytes]) -> list[list[bytes]]:
    """Return events in runs that are small enough to be written at once."""
    runs: list[list[bytes]] = []
    size = 0
    for data in datas:
        size += len(data)
        if not runs or size > _RUN_BYTES or len(runs[-1]) == _RUN:
            runs.append([])
            size = len(data)
        runs[-1].append(data)
    return runs


class _Look:
    """Recognises a stream that is gone, or replaced by another of that name."""

    def __init__(self, stream: JavaStream, log: str) -> None:
        self._stream, self._log = stream, log
        self._numbers = [] if log else stream.current()

    def check(self) -> None:
        """Raise Gone, or the server's own error, when it is another stream."""
        if log_id(self._stream.tags()) != self._log:
            raise Gone("another stream has this name now")
        if self._log:
            return
        if any(self._stream.look(number) for number in self._numbers):
            return
        if not any(self._stream.successors(number) for number in self._numbers):
            raise Gone("another stream has this name now")
        self._numbers = self._stream.current()
