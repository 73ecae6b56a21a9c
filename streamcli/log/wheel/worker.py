"""The code that all worker programs share: their pipes, their end, and opening the stream.

A worker is a plain ``python -m`` process. It gets its request as a frame on standard input, answers with frames on
standard output, and ends when its parent does. It may be killed at any moment without losing anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from streamcli.log import log_id
from streamcli.log.frames import Frame, Splitter, pack_json, unpack_json
from streamcli.log.redaction import redacted
from streamcli.log.worker_life import controller_of, end_with_parent
from streamcli.model.address import Controller

Request = TypeVar("Request")
_GONE = ("NotFound", "NoSuchSegment", "ReaderGroup is deleted")


class Output:
    """The pipe to the parent. Other output to standard output (by the client library) goes to the log."""

    def __init__(self) -> None:
        self._fd = os.dup(1)
        os.dup2(2, 1)

    def send(self, frame: bytes) -> None:
        """Write one complete frame; end the process if the parent is gone."""
        view = memoryview(frame)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BrokenPipeError:
                os._exit(0)


def connect(controller: Controller) -> tuple[Any, Any]:
    """Return the client library and its manager for ``controller``.

    The library reads account and certificates from the environment when it is imported. Its own log is silenced: it
    would write to standard output.
    """
    os.environ.setdefault("RUST_LOG", "off")
    os.environ.pop("RUST_BACKTRACE", None)  # with it a panic takes 330 ms
    if login := controller.login:
        account = {"method": "Basic", "username": login.user, "password": login.password}
        os.environ.update({f"pravega_client_auth_{key}": value for key, value in account.items()})
    if controller.tls:
        os.environ.update(pravega_client_tls_cert_path=controller.ca or _certificates())
    import pravega_client

    return pravega_client, pravega_client.StreamManager(controller.url, login is not None, controller.tls)


def _certificates() -> str:
    import ssl

    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or ""


class _Calls:
    """The calls to the library that opening a stream needs."""

    def __init__(self, client: Any, manager: Any, scope: str, stream: str) -> None:
        self._client, self._manager, self._name = client, manager, (scope, stream)

    def tags(self) -> list[str]:
        return self._manager.get_stream_tags(*self._name) or []

    def create_scope(self) -> object:
        return self._manager.create_scope(self._name[0])

    def create_stream(self, tag: str) -> object:
        scaling = self._client.StreamScalingPolicy.fixed_scaling_policy(1)
        retention = self._client.StreamRetentionPolicy.none()
        return self._manager.create_stream_with_policy(*self._name, scaling, retention, [tag])


def open_stream(client: Any, manager: Any, scope: str, stream: str, make: bool = True) -> str:
    """Create scope and stream if missing and ``make`` is true; return the log's id."""
    return log_id.open_stream(_Calls(client, manager, scope, stream), (scope, stream), _kind, make)


def needing(right: str, what: str) -> contextlib.AbstractContextManager[None]:
    """Wrap a call that needs ``right``: if the server denies it, the error says so."""
    return log_id.needing(right, what, _kind)


def run(kind: type[Request], work: Callable[[Request, Controller, Output], None]) -> NoReturn:
    """Run a worker: read the request, work, report any failure, and exit without unwinding.

    The interpreter's normal exit can abort while the client's threads live, so it is never used.
    """
    output = Output()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start = _start()
    end_with_parent(start["parent"])
    controller = controller_of(start["controller"])
    code = 0
    try:
        work(kind(**start["request"]), controller, output)
    except BaseException as error:  # the client's panics don't derive from Exception
        text = redacted(_first_line(error), controller.login)
        output.send(pack_json(Frame.FAILED, kind=_kind(error), text=text))
        code = 1
    os._exit(code)


def _start() -> dict[str, Any]:
    # Read byte by byte up to the frame's end: what follows belongs to the work.
    splitter = Splitter()
    while True:
        piece = os.read(0, 1)
        if not piece:
            os._exit(0)
        if frames := splitter.feed(piece):
            return unpack_json(frames[0].payload)


def _kind(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, log_id.Denied) or "PermissionDenied" in text:
        return "denied"
    if "Unauthenticated" in text:
        return "password"
    if "StreamSealed" in text:
        return "sealed"
    return "gone" if any(sign in text for sign in _GONE) else "other"


def _first_line(error: BaseException) -> str:
    # The library's texts are pages long and may have the password (in base64) in their metadata: cut before that.
    text = str(error).partition("metadata")[0].strip() or type(error).__name__
    return text.splitlines()[0][:300]
