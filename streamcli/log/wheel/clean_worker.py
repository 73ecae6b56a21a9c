"""The clean worker, ``python -m streamcli.log.wheel.clean_worker``: deletes what a run has left on the server.

A process of its own, because a call to the server may hang in one whose group reader lives.
"""

from __future__ import annotations

import contextlib

from streamcli.log.frames import Frame, pack
from streamcli.log.wheel.requests import CleanRequest
from streamcli.log.wheel.worker import Output, connect, run
from streamcli.model.address import Controller


def work(request: CleanRequest, controller: Controller, output: Output) -> None:
    """Delete what ``request`` names."""
    _, manager = connect(controller)
    for group in request.groups:
        with contextlib.suppress(Exception):  # who may not delete groups can chat all the same
            manager.delete_reader_group(group, request.scope)
    if stream := request.delete_stream:
        with contextlib.suppress(Exception):  # it may never have been made
            manager.seal_stream(request.scope, stream)
            manager.delete_stream(request.scope, stream)
    output.send(pack(Frame.DONE))


if __name__ == "__main__":
    run(CleanRequest, work)
