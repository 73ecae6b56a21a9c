"""File locks: one of the processes that open a file holds it. The kernel releases it whenever its holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from streamcli.errors import FileTrouble, from_os_error
from streamcli.system import private_files
from streamcli.system.clock import SYSTEM, Clock

WAIT: Final = 2.0  # seconds: by then a terminal has opened its files


def try_lock(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Try to lock this open file without waiting; return whether the lock is ours."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Return whether a process holds the file at ``path``, which need not exist. Raises OSError."""
    try:
        with path.open("rb") as file:
            return not try_lock(file.fileno(), fcntl.LOCK_SH)  # shared: two checks don't take each other for a holder
    except FileNotFoundError:
        return False


def hold(path: Path) -> int:
    """Wait for the lock on ``path``, created if missing; closing the returned descriptor frees it. Raises OSError."""
    while True:
        fd, ours = private_files.opened(path, os.O_RDWR), False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            ours = os.fstat(fd).st_nlink > 0  # otherwise another process removed the file first
        finally:
            if not ours:
                os.close(fd)
        if ours:
            return fd


def try_hold(path: Path) -> int | None:
    """Like :func:`hold` without waiting: None when another process holds it."""
    fd, ours = private_files.opened(path, os.O_RDWR), False
    try:
        ours = try_lock(fd)
    finally:
        if not ours:
            os.close(fd)
    return fd if ours else None


@contextlib.contextmanager
def asked_for(path: Path, wait: float | None, clock: Clock = SYSTEM) -> Iterator[bool]:
    """Hold the file at ``path``; yield False if another process holds it for longer than ``wait`` seconds.

    None waits forever. Raises CannotCreate or FileTrouble when the file can't be created.
    """
    deadline = clock.monotonic() + (wait or 0)
    try:
        while (fd := hold(path) if wait is None else try_hold(path)) is None and clock.monotonic() < deadline:
            clock.sleep(0.005)
    except OSError as error:
        raise from_os_error(error, path) from error
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


@contextlib.contextmanager
def locked(path: Path, wait: float | None = WAIT, clock: Clock = SYSTEM) -> Iterator[None]:
    """Like :func:`asked_for`, but raise FileTrouble if another process holds it for too long."""
    with asked_for(path, wait, clock) as ours:
        if not ours:
            raise FileTrouble(f"Another streamcli holds {path} locked. Is one of them suspended?")
        yield
