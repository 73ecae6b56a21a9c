"""The clean worker, ``python -m streamcli.log.wheel.clean_worker``: deletes what a run has left on the server.

A process of its own, because a call to the server may hang in one whose group reader lives.
"""

from __future__ import annotations

import contextlib
from typing import Any

from streamcli.log.frames import Frame, pack
from streamcli.log.wheel.worker import Output, connect, run


def work(orders: dict[str, Any], output: Output) -> None:
    """Delete the reader groups in ``groups`` and, if one is named, the stream ``delete_stream``."""
    _, manager = connect(orders)
    for group in orders["groups"]:
        with contextlib.suppress(Exception):  # who may not delete groups can chat all the same
            manager.delete_reader_group(group, orders["scope"])
    if stream := orders["delete_stream"]:
        with contextlib.suppress(Exception):  # it may never have been made
            manager.seal_stream(orders["scope"], stream)
            manager.delete_stream(orders["scope"], stream)
    output.send(pack(Frame.DONE))


if __name__ == "__main__":
    run(work)
