"""What both worker programs share: their pipes, their end, and how the stream is opened.

A worker is a plain ``python -m`` process. It gets its orders as frames on standard input and answers with frames on
standard output; it ends when its parent does. It may be killed at any moment: nothing is lost by that.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from streamcli.pravega.frames import Frame, pack_json

_PR_SET_PDEATHSIG = 1
TAG = "streamcli-log-"
_GONE = ("NotFound", "NoSuchSegment", "ReaderGroup is deleted")


class Output:
    """The worker's way to its parent. What else prints to standard output (the client library does) goes to the log."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        os.dup2(2, 1)

    def send(self, frame: bytes) -> None:
        """Write one whole frame; ends the process when the parent is gone."""
        view = memoryview(frame)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BrokenPipeError:
                os._exit(0)


def end_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when ``parent`` ends, which works even inside a call that holds the lock.

    Only Linux has that; elsewhere end of file on the pipe does it, once the call has returned.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


def load_client() -> Any:
    """Import the client library with its own log silenced: it writes to standard output otherwise."""
    os.environ.setdefault("RUST_LOG", "off")
    os.environ.pop("RUST_BACKTRACE", None)  # a panic takes 330 ms with it
    import pravega_client

    return pravega_client


def open_stream(client: Any, orders: dict[str, Any], make: bool = True) -> tuple[Any, str]:
    """Connect, make scope and stream where they are missing and ``make`` says so; the manager and the log's id.

    The id is a random tag given to a stream when streamcli makes it, "" for a stream made by someone else. A user who
    may not make streams, or not even look at tags, goes on: opening a reader group tells whether the stream is there.
    """
    manager = client.StreamManager(orders["url"])
    scope, stream = orders["scope"], orders["stream"]
    try:
        return manager, _log_id(manager.get_stream_tags(scope, stream))
    except Exception as error:
        if not make and _kind(error) == "gone":
            raise
    denied: Exception | None = None
    try:
        manager.create_scope(scope)
    except Exception as error:
        denied = error
    try:
        manager.create_stream_with_policy(
            scope,
            stream,
            client.StreamScalingPolicy.fixed_scaling_policy(1),
            client.StreamRetentionPolicy.none(),
            [TAG + os.urandom(8).hex()],
        )
    except Exception as error:
        denied = denied or error
    try:
        return manager, _log_id(manager.get_stream_tags(scope, stream))
    except Exception as error:
        raise (denied or error) from None


def _log_id(tags: list[str] | None) -> str:
    return next((tag for tag in tags or () if tag.startswith(TAG)), "")


def run(work: Callable[[dict[str, Any], Output], None]) -> NoReturn:
    """A worker's whole life: read the orders, work, say why it failed if it did, and leave without unwinding.

    The interpreter's normal exit can abort while the client's threads live, so it is never used.
    """
    output = Output()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders = _orders()
    end_with_parent(orders["parent"])
    code = 0
    try:
        work(orders, output)
    except BaseException as error:  # the client's panics are no Exceptions
        output.send(pack_json(Frame.FAILED, kind=_kind(error), text=_first_line(error)))
        code = 1
    os._exit(code)


def _orders() -> dict[str, Any]:
    # Read byte by byte up to the frame's end: what follows belongs to the work.
    head = os.read(0, 4)
    if len(head) < 4:
        os._exit(0)
    size = int.from_bytes(head, "big")
    body = b""
    while len(body) < size:
        piece = os.read(0, size - len(body))
        if not piece:
            os._exit(0)
        body += piece
    orders: dict[str, Any] = json.loads(body[1:])
    return orders


def _kind(error: BaseException) -> str:
    text = str(error)
    if "PermissionDenied" in text:
        return "denied"
    if "Unauthenticated" in text:
        return "password"
    return "gone" if any(sign in text for sign in _GONE) else "other"


def _first_line(error: BaseException) -> str:
    # The library's texts run over pages and may hold the password (in base64) in their metadata: cut before that.
    text = str(error).partition("metadata")[0].strip() or type(error).__name__
    return text.splitlines()[0][:300]
