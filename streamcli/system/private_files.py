"""Files that only their owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from streamcli.errors import from_os_error


def opened(file: Path | str, flags: int) -> int:
    """Open ``file``, made for its owner only if it is missing; no program that we start inherits it. Raises OSError."""
    return os.open(file, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)


def write(file: Path, content: str | bytes) -> None:
    """Replace ``file`` as a whole: who reads it, also after a power cut, sees the old one or the new one.

    Raises CannotCreate or FileTrouble.
    """
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(opened(fresh, os.O_WRONLY | os.O_EXCL), "wb") as out:
            out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
        sync(file.parent)
    except OSError as error:
        raise from_os_error(error, file) from error


def sync(folder: Path) -> None:
    """Bring the names in ``folder`` to the disk: what is synced to a file is lost as long as its name is not there."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
