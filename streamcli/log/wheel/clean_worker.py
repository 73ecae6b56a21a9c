"""The clean worker, ``python -m streamcli.log.wheel.clean_worker``: deletes what a run left on the server.

It is a separate process, because calls to the server may hang in a process with a live group reader.
"""

from __future__ import annotations

import contextlib

from streamcli.log.frames import Frame, pack
from streamcli.log.wheel.requests import CleanRequest
from streamcli.log.wheel.worker import Output, connect, run
from streamcli.model.address import Controller


def work(request: CleanRequest, controller: Controller, output: Output) -> None:
    """Delete the groups and the stream in ``request``."""
    _, manager = connect(controller)
    for group in request.groups:
        with contextlib.suppress(Exception):  # an account that may not delete groups can still chat
            manager.delete_reader_group(group, request.scope)
    if stream := request.delete_stream:
        with contextlib.suppress(Exception):  # it may never have been created
            manager.seal_stream(request.scope, stream)
            manager.delete_stream(request.scope, stream)
    output.send(pack(Frame.DONE))


if __name__ == "__main__":
    run(CleanRequest, work)
