"""`FolderCopy`: copies a folder while it changes, and again only what has changed, when it no longer does."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from streamcli.errors import FileTrouble
from streamcli.server import data
from streamcli.system import private_files
from streamcli.system.clock import SYSTEM, Clock

# Seconds. A change that is this much older than a look at the file has another time than one after the look. File
# systems tell times apart that differ by some milliseconds, or by two seconds.
_APART = 2.5
_FICLONE = 0x40049409  # Linux: the two files share their blocks until one of them is changed
_BLOCK = 1 << 20  # bytes


class _Version(NamedTuple):
    """Two looks at a file that find the same version find the same content."""

    inode: int
    size: int
    modified: int  # nanoseconds
    changed: int  # nanoseconds; unlike ``modified``, no program can set it


class FolderCopy:
    """A copy of some files and folders of one folder, which only the copy's owner can read."""

    def __init__(self, source: Path, names: Sequence[str], target: Path, clock: Clock = SYSTEM) -> None:
        """Copy ``names`` of ``source`` to ``target``, which exists and is empty."""
        self._source, self._names, self._target, self._clock = source, names, target, clock
        self._copied: dict[Path, _Version | None] = {}  # None if it may have changed while it was copied

    def update(self) -> None:
        """Copy all that was not copied yet or has changed since, and delete from the copy what is gone.

        What changes meanwhile is copied in some state, and the next call copies it again. So the copy is exact if
        nothing changes during the last call. Raises OSError, and FileTrouble when the disk would be full.
        """
        found = set()
        for path in self._files():
            if self._copy(path):
                found.add(path)
        for path in self._copied.keys() - found:
            (self._target / path).unlink()
            del self._copied[path]

    def sync(self) -> int:
        """Sync the copy to disk; return how many bytes it takes there. Raises OSError."""
        size = 0
        for folder, _, names in os.walk(self._target):
            for name in names:
                with Path(folder, name).open("rb") as file:
                    os.fsync(file.fileno())
                    size += os.fstat(file.fileno()).st_blocks * 512
            private_files.sync(Path(folder))
        return size

    def _files(self) -> Iterator[Path]:
        """Yield the files to be copied, as paths below the source; make the folders that they lie in."""
        pending = [Path(name) for name in self._names]
        while pending:
            path = pending.pop()
            try:
                kind = (self._source / path).stat().st_mode  # of what a link leads to: a part may be on another disk
                if stat.S_ISREG(kind):
                    yield path
                elif stat.S_ISDIR(kind):
                    (self._target / path).mkdir(mode=0o700, exist_ok=True)
                    pending += [path / one.name for one in os.scandir(self._source / path)]
            except FileNotFoundError:
                continue  # deleted since its folder was read

    def _copy(self, path: Path) -> bool:
        """Copy a file unless its copy is up to date; return False if there is no such file."""
        looked = self._clock.seconds() - _APART
        try:
            original = os.open(self._source / path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            now = os.fstat(original)
            version = _Version(now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
            if self._copied.get(path) == version:
                return True
            copy = private_files.opened(self._target / path, os.O_WRONLY | os.O_TRUNC)
            try:
                if not _cloned(original, copy):
                    self._leave_room_for(now.st_blocks * 512)
                    _copy_content(original, copy)
            finally:
                os.close(copy)
            settled = max(now.st_mtime, now.st_ctime) < looked
            self._copied[path] = version if settled else None
            return True
        finally:
            os.close(original)

    def _leave_room_for(self, size: int) -> None:
        if (left := data.free(self._target) - size) < data.FLOOR:
            raise FileTrouble(
                f"The disk is full: with the copy less than {data.words(data.FLOOR)} would be left "
                f"({data.words(max(0, left))}). Free some space, or name a folder on another disk."
            )


def _cloned(original: int, copy: int) -> bool:
    """Let ``copy`` share the blocks of ``original`` if the file system can do that; it takes no time and no room."""
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError):
        fcntl.ioctl(copy, _FICLONE, original)
        return True
    return False


def _copy_content(original: int, copy: int) -> None:
    """Copy the bytes of a file and leave holes where it has some: ZooKeeper's log is 64 MB, nearly all of it a hole."""
    at = 0
    try:
        while True:
            at = os.lseek(original, at, os.SEEK_DATA)
            end = os.lseek(original, at, os.SEEK_HOLE)
            while at < end and (block := os.pread(original, min(_BLOCK, end - at), at)):
                at += os.pwrite(copy, block, at)
            if at < end:
                break  # it was shortened meanwhile
    except OSError as error:
        if error.errno != errno.ENXIO:  # there is no more data
            raise
    os.ftruncate(copy, os.fstat(original).st_size)
