"""The cleaning lane: deletes what a run created on the server."""

from __future__ import annotations

from streamcli.log.frames import Frame, pack
from streamcli.log.java.client import Manager
from streamcli.log.java.lane import Lane, LaneEnded
from streamcli.log.java.requests import CleanRequest
from streamcli.log.java.stream import JavaStream


def clean(request: CleanRequest, manager: Manager, lane: Lane) -> None:
    """Delete the stream in ``request``."""
    if request.delete_stream:
        stream = JavaStream(manager, lane, request.scope, request.delete_stream)
        try:
            stream.delete()
        except LaneEnded:
            raise
        except Exception:  # it may never have been created
            pass
    lane.send(pack(Frame.DONE))
