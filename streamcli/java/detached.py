"""Starts a Python process that runs Java as a server, detached from this process and its terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from streamcli.errors import Unusable

_ROOT = Path(__file__).resolve().parent.parent.parent  # where this package is found
_CHANGES_A_JVM = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")  # its output, or its flags


def start_detached(command: Sequence[str], home: Path, log: Path) -> int:
    """Start ``command`` in the folder ``home``, its output in the file ``log``; return its pid.

    Raises Unusable when it can't be started.
    """
    # A shell starts it in the background and ends at once. The server is no child of a running chat, so it never
    # becomes its zombie, and Ctrl-C in a terminal does not reach it (own session; SIGINT is ignored in the background).
    script = 'umask 077; log=$1; shift; "$@" </dev/null >"$log" 2>&1 & echo $!'
    try:
        shell = subprocess.run(
            ["/bin/sh", "-c", script, "sh", str(log), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=home,
            env=_environment(),
            start_new_session=True,
            check=True,
        )
        return int(shell.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise Unusable(f"The server's process can't be started: {error}.") from error


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _CHANGES_A_JVM}
    path = os.pathsep.join(filter(None, (str(_ROOT), kept.get("PYTHONPATH"))))
    # The C library would hoard memory in a heap for each of a JVM's 300 threads.
    return kept | {"MALLOC_ARENA_MAX": "2", "PYTHONPATH": path}
