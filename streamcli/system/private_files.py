"""Files that only their owner can read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

from streamcli.errors import from_os_error


def write(file: Path, text: str) -> None:
    """Replace ``file`` as a whole by ``text``: a reader sees the old one or the new one, and others never see it."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
        fresh.replace(file)
    except OSError as error:
        raise from_os_error(error, file) from error


def opened(file: Path) -> TextIO:
    """``file``, made if it is missing, for a lock."""
    try:
        return os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "a", encoding="utf-8")
    except OSError as error:
        raise from_os_error(error, file) from error
