"""The write worker: ``python -m streamcli.pravega.write_worker``. Hands events to the server and says when it has them.

What has piled up in the pipe is written as one batch and flushed once, so a single event costs one round trip and a
burst hardly more. Only a flush proves anything: the client's ``write_event_async`` reports success for events that
were never written.
"""

from __future__ import annotations

import os
from typing import Any

from streamcli.pravega.frames import Frame, Splitter, pack_count, pack_json, unpack_write
from streamcli.pravega.worker import Output, load_client, open_stream, run

IN_FLIGHT = 1000
_PIECE = 1 << 20


def work(orders: dict[str, Any], output: Output) -> None:
    """Write until the parent closes the pipe."""
    manager, log = open_stream(load_client(), orders)
    writer = manager.create_writer(orders["scope"], orders["stream"], IN_FLIGHT)
    output.send(pack_json(Frame.OPENED, log=log))
    splitter = Splitter()
    while piece := os.read(0, _PIECE):
        events = [unpack_write(payload) for kind, payload in splitter.feed(piece) if kind is Frame.WRITE]
        if events:
            for routing_key, data in events:
                writer.write_event_bytes(data, routing_key)
            writer.flush()
            output.send(pack_count(Frame.WRITTEN, len(events)))


if __name__ == "__main__":
    run(work)
