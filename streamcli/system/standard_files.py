"""Standard files that another program may have set to non-blocking: reading and writing them waits all the same.

The flag belongs to the open file, which others share, so it stays as it is.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
from typing import Any, TextIO

STDIN, STDOUT, STDERR = 0, 1, 2


def read(fd: int, size: int) -> bytes:
    """Read what there is, at most ``size`` bytes; b"" at the end."""
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:
            _wait(fd, select.POLLIN)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``, however slow its reader is."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            _wait(fd, select.POLLOUT)


class _Patient(io.FileIO):
    """A standard file whose writes are never short, as the layers above it expect."""

    def write(self, data: Any, /) -> int:
        """Write all of ``data``."""
        view = memoryview(data).cast("B")
        write_all(self.fileno(), view)
        return view.nbytes


class _Forgiving(_Patient):
    """The same for messages that may be lost: the exit code says what they say."""

    def write(self, data: Any, /) -> int:
        """Write all of ``data``, if that is possible."""
        with contextlib.suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


def patient(stream: TextIO, forgiving: bool = False) -> TextIO:
    """The same standard stream, but it writes everything also to a non-blocking file, and any character.

    A ``forgiving`` one ignores that it can't be written.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter((_Forgiving if forgiving else _Patient)(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",  # what a locale other than UTF-8 has no bytes for
        line_buffering=stream.line_buffering or stream.write_through,
    )


def _wait(fd: int, event: int) -> None:
    waiting = select.poll()
    waiting.register(fd, event)
    waiting.poll()
