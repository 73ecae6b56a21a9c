"""Delivers signals to the loop however often its threads call into it.

asyncio learns of a signal by a byte in the socket that also wakes the loop for call_soon_threadsafe(). If a busy loop
does not empty the socket for a moment, it is full: the byte does not fit, the signal is lost, and Python prints a
traceback. A Python signal handler always runs, before the loop's next step.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from streamcli.system.guard import post


def on_signal(number: signal.Signals, act: Callable[..., object], *arguments: Any) -> None:
    """Call ``act(*arguments)`` in the running loop at each such signal, until the loop's remove_signal_handler()."""
    loop = asyncio.get_running_loop()

    def handle(*received: object) -> None:
        post(loop, act, *arguments)

    loop.add_signal_handler(number, lambda: None)  # so that the byte wakes a waiting loop
    signal.signal(number, handle)
    allow_a_full_socket()


def allow_a_full_socket() -> None:
    """Suppress Python's warning when the byte does not fit. The loop's add_signal_handler() undoes this."""
    signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)
