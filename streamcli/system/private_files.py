"""Files that only their owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from streamcli.errors import from_os_error


def opened(file: Path | str, flags: int) -> int:
    """Open ``file``, made for its owner only if it is missing; no program that we start inherits it. Raises OSError."""
    return os.open(file, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)


def write(file: Path, text: str) -> None:
    """Replace ``file`` as a whole by ``text``: a reader sees the old one or the new one, and others never see it."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(opened(fresh, os.O_WRONLY | os.O_EXCL), "w", encoding="utf-8") as out:
            out.write(text)
        fresh.replace(file)
    except OSError as error:
        raise from_os_error(error, file) from error
