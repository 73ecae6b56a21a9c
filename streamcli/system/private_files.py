"""Files that only their owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from streamcli.errors import from_os_error


def opened(file: Path | str, flags: int) -> int:
    """Open ``file``, created with mode 0600 if missing; child processes don't inherit it. Raises OSError."""
    return os.open(file, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)


def write(file: Path, content: str | bytes) -> None:
    """Replace ``file`` atomically: readers see the old or the new content, even after a power cut.

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
    """Sync the names in ``folder`` to disk: without its name, a synced file is still lost."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
