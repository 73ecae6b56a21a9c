"""Ensures that the jars of the lock file are in the cache, all or a client's: missing ones are fetched and verified."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streamcli.errors import from_os_error
from streamcli.java.jar_lock import LOCK_FILE, Jar, is_good, read_lock
from streamcli.java.progress import Progress
from streamcli.system import locks, paths

_VERIFIED = {False: "verified", True: "verified-client"}  # by whether only the client's jars are meant
_PARTIAL = "partial-"


def default_folder() -> Path:
    """Return the folder for the jars of this Pravega version; it may not exist yet."""
    return paths.cache_dir() / "jars" / "pravega-0.13.0"


def ensure_jars(
    progress: Progress, lock: Path = LOCK_FILE, folder: Path | None = None, client: bool = False
) -> list[Path]:
    """Return the jars of ``lock``, verified, in its order; missing ones are fetched into ``folder`` first.

    All of them, which is what the server needs, or with ``client`` those that a client needs.

    The order matters: two of the jars may hold the same class, so it must not be left to the file system.

    Raises Unreachable (no network), FileTrouble (disk full, or a wrong checksum) and CannotCreate. When interrupted,
    finished jars stay and the next call continues from there.
    """
    folder = folder or default_folder()
    jars = needed(lock, client)
    seal = hashlib.sha256(lock.read_bytes()).hexdigest()
    verified = folder / _VERIFIED[client]
    if not _complete(verified, jars, seal):
        paths.ensure_dir(folder)
        try:
            with _only_one(folder, progress):
                if not _complete(verified, jars, seal):  # another process may have done it meanwhile
                    _complete_folder(folder, jars, progress)
                    verified.write_text(seal)
        except OSError as error:
            raise from_os_error(error, folder) from error
    return [folder / jar.name for jar in jars]


def needed(lock: Path = LOCK_FILE, client: bool = False) -> list[Jar]:
    """Return the jars that the server needs, or a client."""
    return [jar for jar in read_lock(lock) if jar.client or not client]


def damaged(paths: Iterable[Path]) -> Path | None:
    """Return the first of these jars that is not as it was fetched, None if all are; a start checks only their sizes.

    It reads them all, at some 500 MB/s.
    """
    jars = {jar.name: jar for jar in read_lock()}
    for path in paths:
        try:
            if not is_good(path, jars[path.name]):
                return path
        except OSError:
            return path
    return None


def _complete(verified: Path, jars: list[Jar], seal: str) -> bool:
    """Return whether all jars were verified before and have their size: one stat each, a few ms at each start."""
    try:
        return verified.read_text() == seal and all(
            verified.with_name(jar.name).stat().st_size == jar.size for jar in jars
        )
    except (OSError, UnicodeDecodeError):
        return False


@contextmanager
def _only_one(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the folder's lock; a second process waits here, and continues at once when the first one dies."""
    path = folder / "lock"
    if (fd := locks.try_hold(path)) is None:
        progress.stage("another terminal is fetching jars, waiting for it")
        fd = locks.hold(path)
    try:
        yield
    finally:
        os.close(fd)


def _complete_folder(folder: Path, jars: list[Jar], progress: Progress) -> None:
    for left_over in folder.glob(_PARTIAL + "*"):
        shutil.rmtree(left_over, ignore_errors=True)
    missing = [jar for jar in jars if not is_good(folder / jar.name, jar)]
    if not missing:
        return
    from streamcli.java.fetch import fetch  # its HTTP client takes 28 ms to import, and only the first start needs it

    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
    try:
        fetch(missing, partial, folder, progress, already=sum(jar.size for jar in jars) - sum(j.size for j in missing))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
