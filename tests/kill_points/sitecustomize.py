"""Kills streamcli with SIGKILL at one step of the way that the message "last words" takes.

Python imports this at its start from PYTHONPATH, so the program itself knows nothing of it; ``STREAMCLI_TEST_STEP``
names the step.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

LAST = "last words"
SYNCS_WITHIN = 0.2  # seconds

# The step: what is called there, and whether it has been done by the time of death.
STEPS = {
    "typed": ("streamcli.chat.chatter", "Chatter", "typed", "before"),
    "synced": ("streamcli.storage.outbox", "Outbox", "add", "after"),
    "handed over": ("streamcli.log.writer", "Writer", "_hand_over", "after"),
    "acknowledged": ("streamcli.log.writer", "Writer", "_acknowledge", "after"),
    "read": ("streamcli.log.reader", "Reader", "_on_events", "before"),
    "stored": ("streamcli.storage.history", "History", "store", "after"),
    "drawn": ("streamcli.ui.scrollback", "Scroll", "messages", "after"),
    "forgotten": ("streamcli.storage.outbox", "Outbox", "sent", "after"),
}
_handed_over: list[str] = []


def _concerns(method: str, self: Any, args: tuple[Any, ...]) -> bool:
    """Whether this call is about the last words."""
    if method == "_hand_over":
        return LAST in repr(self._unconfirmed[args[0]])
    if method == "_acknowledge":
        return bool(_handed_over)
    if method == "sent":  # it names ids
        return LAST in repr(self.waiting())
    return LAST in repr(args)


def _plant(module: str, owner: str, method: str, then: Callable[[], None], before: bool = False) -> None:
    where = getattr(import_module(module), owner)
    original = getattr(where, method)

    def watched(self: Any, *args: Any) -> Any:
        concerns = _concerns(method, self, args)
        if concerns and before:
            then()
        result = original(self, *args)
        if concerns and not before:
            then()
        return result

    setattr(where, method, watched)


def _die() -> None:
    if step == "handed over":
        time.sleep(SYNCS_WITHIN)  # side by side with this it is synced, which is a step of its own
    os.kill(os.getpid(), signal.SIGKILL)


step = os.environ.get("STREAMCLI_TEST_STEP")
if step and not sys.orig_argv[-1].startswith("streamcli."):  # not in what the prompt starts
    if step == "acknowledged":
        _plant("streamcli.log.writer", "Writer", "_hand_over", lambda: _handed_over.append(LAST))
    module, owner, method, when = STEPS[step]
    _plant(module, owner, method, _die, before=when == "before")
