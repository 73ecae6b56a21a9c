"""The write worker, ``python -m streamcli.log.wheel.write_worker``: appends events and acknowledges them.

Events queued in the pipe are written as one batch and flushed once, so a single event costs one round trip and a burst
hardly more. Only a flush proves anything: the client's ``write_event_async`` reports success for events that were never
written.

In between it checks that the stream is still the one it opened: the reader of a deleted stream waits forever, and can't
be asked (no other call of the library may run beside it).
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Any

from streamcli.log.frames import Frame, Splitter, pack_count, pack_json, unpack_write
from streamcli.log.log_id import log_id
from streamcli.log.wheel.worker import Output, connect, open_stream, run
from streamcli.log.write_request import WriteRequest
from streamcli.model.address import Controller

IN_FLIGHT = 1000
LOOK_EVERY = 2.0  # seconds without anything to write; a check takes about 1 ms, with several segments 12
PARENT = 0  # standard input
_PIECE = 1 << 20


def work(request: WriteRequest, controller: Controller, output: Output) -> None:
    """Write until the parent closes the pipe."""
    client, manager = connect(controller)
    log = open_stream(client, manager, request.scope, request.stream)
    writer = manager.create_writer(request.scope, request.stream, IN_FLIGHT)
    look = _look(manager, request.scope, request.stream, log)
    # A controller answers also while the segment store is dead. It counts as open only when both answer, or else a
    # worker that waits for the store would soon be taken for one that hangs.
    look()
    output.send(pack_json(Frame.OPENED, log=log))
    splitter = Splitter()
    while True:
        while not select.select([PARENT], [], [], LOOK_EVERY)[0]:
            look()
        piece = os.read(PARENT, _PIECE)
        if not piece:
            return
        events = [unpack_write(frame.payload) for frame in splitter.feed(piece) if frame.kind is Frame.WRITE]
        if events:
            for routing_key, data in events:
                writer.write_event_bytes(data, routing_key)
            writer.flush()
            output.send(pack_count(Frame.WRITTEN, len(events)))


def _look(manager: Any, scope: str, stream: str, log: str) -> Callable[[], object]:
    """Return a check that raises when the stream is gone, or replaced by another of that name."""
    try:
        opened = manager.create_byte_stream(scope, stream)
        return lambda: opened.current_tail_offset()  # of the segment that it was opened on
    except BaseException:  # a panic: it has several segments; recognize it by its tag, if it has one
        return lambda: _compare(manager.get_stream_tags(scope, stream), log)


def _compare(tags: list[str] | None, log: str) -> None:
    if log_id(tags) != log:
        raise LookupError("NotFound: another stream has this name now")


if __name__ == "__main__":
    run(WriteRequest, work)
