"""What every worker program does at its start, whichever client it loads."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

from streamcli.model.address import Controller, Login

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when ``parent`` ends, even inside a call that holds the interpreter's lock.

    Only Linux offers this; elsewhere end of file on the pipe ends it, once the call has returned.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


def controller_of(fields: dict[str, Any]) -> Controller:
    """Return the controller whose fields stand in a START frame."""
    login = Login(**fields["login"]) if fields["login"] else None
    return Controller(**{**fields, "login": login, "others": ()})  # a worker uses one
