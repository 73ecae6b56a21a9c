"""File locks: of the processes that open a file, one holds it. The kernel lets it go when its holder ends, however."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from streamcli.errors import FileTrouble, from_os_error
from streamcli.system import private_files

WAIT: Final = 2.0  # seconds: a terminal that is opening its files is done by then


def try_lock(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Whether the lock on this open file is ours now. Never waits."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether somebody holds the file at ``path``, which need not exist. Raises OSError."""
    try:
        with path.open("rb") as file:
            return not try_lock(file.fileno(), fcntl.LOCK_SH)  # shared: two who look don't take each other for a holder
    except FileNotFoundError:
        return False


def hold(path: Path) -> int:
    """Wait for the file at ``path``, made if it is missing. Ours until what is returned is closed. Raises OSError."""
    while True:
        fd, ours = private_files.opened(path, os.O_RDWR), False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            ours = os.fstat(fd).st_nlink > 0  # else another process removed it before
        finally:
            if not ours:
                os.close(fd)
        if ours:
            return fd


def try_hold(path: Path) -> int | None:
    """The same without waiting: None when somebody else holds it."""
    fd, ours = private_files.opened(path, os.O_RDWR), False
    try:
        ours = try_lock(fd)
    finally:
        if not ours:
            os.close(fd)
    return fd if ours else None


@contextlib.contextmanager
def asked_for(path: Path, wait: float | None) -> Iterator[bool]:
    """Hold the file at ``path`` meanwhile, or say False: another holds it for longer than ``wait`` seconds.

    None waits for ever. Raises CannotCreate or FileTrouble when the file can't be made.
    """
    deadline = time.monotonic() + (wait or 0)
    try:
        while (fd := hold(path) if wait is None else try_hold(path)) is None and time.monotonic() < deadline:
            time.sleep(0.005)
    except OSError as error:
        raise from_os_error(error, path) from error
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


@contextlib.contextmanager
def locked(path: Path, wait: float | None = WAIT) -> Iterator[None]:
    """Hold the file at ``path`` meanwhile; the same, but FileTrouble when another holds it for too long."""
    with asked_for(path, wait) as ours:
        if not ours:
            raise FileTrouble(f"Another streamcli holds {path} locked. Is one of them suspended?")
        yield
