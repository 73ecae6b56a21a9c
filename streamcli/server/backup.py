"""Copies the durable server's data to another folder, as it would be after ``kill -9``, while the server runs.

All is copied once while the server goes on. Then it is suspended, and what has changed since is copied again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamcli.errors import NothingFound, Unusable, UsageError, from_os_error
from streamcli.server import control, data, launch, state
from streamcli.server.folder_copy import FolderCopy
from streamcli.server.pause import paused
from streamcli.system import locks, paths, private_files
from streamcli.system.clock import SYSTEM, Clock

_INCOMPLETE = "incomplete"  # holds the copy until it is whole; no server starts in a folder with other files
_LAST_BREATH = 3.0  # seconds; a killed server holds the lock until its last thread has ended


@dataclass(frozen=True)
class Backup:
    """A finished backup: the bytes that it takes on the disk, and for how many seconds the server was suspended."""

    size: int
    pause: float | None  # None if no server ran


def back_up(target: Path, clock: Clock = SYSTEM) -> Backup:
    """Copy the data of this user's server to ``target``, an empty folder or a new one.

    A server can be started on the copy, by another user and on another machine as well: it holds no secrets. It is
    complete or not there: if anything fails, all that was copied is deleted.

    Raises NothingFound when there is nothing to copy, UsageError and Unusable for a folder that can't be used, and for
    another backup at the same time, FileTrouble and CannotCreate for files, Unreachable when the server ended or was
    stopped meanwhile.
    """
    choice = control.next_choice()
    source = launch.data_folder(choice)
    if not choice.durable:
        raise NothingFound("The embedded server keeps its data in memory: there is nothing to back up.")
    if not (source / data.FORMAT).exists():
        raise NothingFound(f"There is nothing to back up: no server has stored anything in {source} yet.")
    with state.lock(state.BACKUP_LOCK, wait=False) as ours:
        if not ours:
            raise Unusable("Another backup is being made. Try again when it is finished.")
        new = not target.exists()
        _make_ready(target, source)
        try:
            return _fill(target, source, clock)
        except BaseException as error:
            _remove(target, new)
            if isinstance(error, OSError):
                raise from_os_error(error, error.filename or target) from error
            raise


def _make_ready(target: Path, source: Path) -> None:
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(source)):
        raise UsageError(f"{target} is in the data folder {source}. Name a folder elsewhere.")
    paths.ensure_dir(target)
    try:
        there = sorted(one.name for one in target.iterdir())
        if _INCOMPLETE in there:
            raise Unusable(f"{target} holds a backup that was never finished. Delete it, or name another folder.")
        if there:
            raise Unusable(f"{target} holds other files ({there[0]}). Name an empty folder, or a new one.")
        with suppress(PermissionError):  # it may be a disk's own folder; what we put into it is private anyway
            target.chmod(0o700)
    except OSError as error:
        raise from_os_error(error, target) from error


def _fill(target: Path, source: Path, clock: Clock) -> Backup:
    inside = target / _INCOMPLETE
    inside.mkdir(mode=0o700)
    copy = FolderCopy(source, (*data.PARTS, data.FORMAT), inside, clock)
    copy.update()
    pause = _while_nothing_changes(source, copy.update, clock)
    size = copy.sync()
    for name in data.PARTS:
        (inside / name).rename(target / name)
    private_files.sync(target)
    (inside / data.FORMAT).rename(target / data.FORMAT)  # last: without it, it is no server's data
    inside.rmdir()
    private_files.sync(target)
    private_files.sync(target.parent)
    return Backup(size, pause)


def _while_nothing_changes(source: Path, act: Callable[[], None], clock: Clock) -> float | None:
    """Call ``act`` while no server writes to ``source``; return how long one was suspended for that, if one runs."""
    with state.lock(state.START_LOCK):  # nobody starts one
        record = state.read()
        process = state.process(record) if record and record.phase != state.FETCHING else None
        if record and process and record.choice.durable and launch.data_folder(record.choice).samefile(source):
            with paused(process, clock=clock) as pause:
                act()
            return pause.seconds
        with locks.asked_for(source / data.LOCK, _LAST_BREATH, clock) as ours:
            if not ours:
                raise Unusable(f"The data folder {source} is in use by another server. Stop that one first.")
            act()
        return None


def _remove(target: Path, new: bool) -> None:
    """Delete what was copied to ``target``, which was empty, and ``target`` itself if it is ``new``."""
    for name in (_INCOMPLETE, *data.PARTS):
        shutil.rmtree(target / name, ignore_errors=True)
    (target / data.FORMAT).unlink(missing_ok=True)
    if new:
        with suppress(OSError):
            target.rmdir()
