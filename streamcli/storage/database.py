"""Opens streamcli's SQLite files: private modes, errors as sentences, damaged files set aside, exclusive transactions.

File names are never reused (``history-TIME.db``): SQLite deletes the ``-wal`` file by name when the last connection
closes, so a terminal that still had a set-aside or deleted file open would delete the new file's ``-wal``.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeVar

from streamcli.errors import CannotCreate, FileTrouble, StreamcliError, Unusable, from_os_error
from streamcli.system import private_files
from streamcli.system.paths import ensure_dir

Used = TypeVar("Used", bound="Closing")

APPLICATION: Final = 0x73636C69  # "scli" in the header of our files
BUSY: Final = 2.0  # seconds to wait for another terminal's transaction; a reader silent for 3 s is replaced
WAL_PAGES: Final = 4000  # a checkpoint costs two syncs; at 100,000 messages a second 1000 pages are full 10 times
_DAMAGE: Final = ("malformed", "not a database", "no such table", "no such column", "has no column", "could not decode")


class Damaged(FileTrouble):
    """The file at ``path`` can't be trusted: set it aside (:func:`set_aside`) and open again."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"The file {path} is damaged: {why}.")
        self.path = path


class Closing:
    """Base class of resources that are used in a ``with`` and closed at its end."""

    def __enter__(self: Used) -> Used:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        raise NotImplementedError


def ensure_private(root: Path, folder: Path) -> Path:
    """Create ``root`` and all folders down to ``folder`` with mode 0700; return ``folder``. Raises like ensure_dir."""
    steps = [root, *(root / parent for parent in reversed(folder.relative_to(root).parents[:-1])), folder]
    for step in steps:
        try:
            if not step.exists():
                ensure_dir(step)
                private_files.sync(step.parent)
            if ensure_dir(step).stat().st_mode & 0o077:
                step.chmod(0o700)
        except OSError as error:
            raise from_os_error(error, step) from error
    return folder


def newest(folder: Path, stem: str, time_ns: Callable[[], int] = time.time_ns) -> Path:
    """Return the current file of this kind in ``folder``, or a name for a new one. Requires the folder's lock."""
    there = sorted(folder.glob(f"{stem}-*.db"))
    return there[-1] if there else folder / f"{stem}-{time_ns() // 1000:014x}.db"


def connect(path: Path, synchronous: Literal["NORMAL", "FULL"]) -> sqlite3.Connection:
    """Open ``path``, created with mode 0600 if missing. Threads may hand the connection over, but not share it.

    Raises Damaged when the file was not written by streamcli, and CannotCreate or FileTrouble.
    """
    with translating_errors(path):
        # Only a new file is opened here: closing any descriptor of a database drops this process's locks on it.
        with contextlib.suppress(FileExistsError):
            os.close(private_files.opened(path, os.O_RDWR | os.O_EXCL))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            _claim(connection, path)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={synchronous}")
            if synchronous == "FULL":
                connection.execute("PRAGMA fullfsync=ON")  # macOS: flush the disk's own cache as well
            connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
            connection.execute("PRAGMA cell_size_check=ON")
        except BaseException:
            connection.close()
            raise
    return connection


def _claim(connection: sqlite3.Connection, path: Path) -> None:
    """Mark a new file as ours; leave every byte of a foreign file unchanged."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == APPLICATION:
        return
    if application or connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        raise Damaged(path, "it is no file of streamcli")
    connection.execute(f"PRAGMA application_id={APPLICATION}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run an all-or-nothing transaction, exclusive from the start: what it reads can't change before it writes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction already; with a broken disk even the rollback may fail.
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translating_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite or the file system about ``path`` into a StreamcliError with a full sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise _worded(error, path) from error
    except OSError as error:
        raise from_os_error(error, path) from error


def _worded(error: sqlite3.Error, path: Path) -> StreamcliError:
    # Match on the text: Python 3.10 has no error codes here, and SQLite's texts have been stable for decades.
    words = str(error).lower()
    if "json_each" in words:
        return Unusable("This Python's SQLite is without JSON: no history can be kept with it.")
    if any(sign in words for sign in _DAMAGE):
        return Damaged(path, str(error))
    if "full" in words:
        return FileTrouble(f"The disk is full: {path} can't be written. Free some space and try again.")
    if "locked" in words or "busy" in words:
        return FileTrouble(f"Another program holds {path} locked. Is a streamcli suspended, or an SQLite tool open?")
    if "readonly" in words or "unable to open" in words:
        return CannotCreate(f"Can't create or write {path}: {error}. Check who owns it and its permissions.")
    # SQLite reports a broken disk, a quota and a file size limit alike.
    return FileTrouble(f"Reading or writing {path} failed: {error}. Is the disk full, or broken?")


def set_aside(path: Path) -> Path:
    """Rename a damaged file and SQLite's files beside it, so that a new one takes its place; return the new path.

    A process that still has it open harmlessly continues in the renamed file. Raises CannotCreate or FileTrouble.
    """
    aside = path.with_name(f"{path.name}.damaged")
    try:
        # The database itself goes last: if we are killed in between, the next start still finds it, and finds it
        # damaged.
        for suffix in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise from_os_error(error, path) from error
    return aside
