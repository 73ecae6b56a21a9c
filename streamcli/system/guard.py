"""Makes unexpected errors end the command, wherever they happen: in a callback of the loop, a task or a thread.

asyncio only logs an error in a callback or in a task that nobody awaits, and a thread just stops. To the user this
looks like a command that hangs, or a server that does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, NoReturn

from streamcli.errors import StreamcliError

_log = logging.getLogger(__name__)


def on_error(end: Callable[[BaseException], None]) -> None:
    """Call ``end`` in the running loop with each error that a callback raises, or that is passed to :func:`report`.

    What asyncio and libraries report about their own tasks and connections is only logged: it may be harmless.
    """

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        known = isinstance(error, StreamcliError)
        _log.error("%s", context["message"], exc_info=None if known else error)
        if error and "handle" in context:  # a callback
            end(error)

    asyncio.get_running_loop().set_exception_handler(handle)


def report(loop: asyncio.AbstractEventLoop, error: BaseException) -> None:
    """From any thread: end the command because of the unexpected ``error``."""
    post(loop, _raise, error)


def post(loop: asyncio.AbstractEventLoop, what: Callable[..., object], *arguments: object) -> None:
    """From any thread: call ``what`` in ``loop``, unless the loop is closed because the program is ending."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(what, *arguments)


def watched(work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
    """Start a background task whose error ends the command."""
    task = asyncio.create_task(work)
    task.add_done_callback(_raise_error_of)
    return task


def watch(future: Future[Any]) -> None:
    """End the command on an error in thread-pool work whose result nobody awaits."""
    loop = asyncio.get_running_loop()

    def done(future: Future[Any]) -> None:
        if not future.cancelled() and (error := future.exception()):
            report(loop, error)

    future.add_done_callback(done)


def start_thread(work: Callable[[], None], name: str) -> None:
    """Start a thread that may still be waiting when the program ends, and whose error ends the command."""
    loop = asyncio.get_running_loop()

    def run() -> None:
        try:
            work()
        except Exception as error:
            report(loop, error)

    threading.Thread(target=run, name=name, daemon=True).start()


def _raise(error: BaseException) -> NoReturn:
    raise error


def _raise_error_of(task: asyncio.Task[object]) -> None:
    if not task.cancelled() and (error := task.exception()):
        raise error
