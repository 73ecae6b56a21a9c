"""Writes what the server logs from now on to a stream, in a thread: for ``streamcli server run``."""

from __future__ import annotations

import codecs
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from streamcli.server import state

_EVERY = 0.25  # seconds
_LAST_LINES = 2.0  # seconds that the last lines may take; whoever reads them may be slow


@contextmanager
def written_to(out: TextIO) -> Iterator[None]:
    """Write to ``out`` what the server logs during the block. When ``out`` can't be written any more, nothing is."""
    ended = threading.Event()
    files = [_Growing(path) for path in (state.console_path(), state.log_path())]

    def write() -> None:
        with suppress(OSError, ValueError):
            last = False
            while not last:
                last = ended.wait(_EVERY)
                for file in files:
                    if text := file.more():
                        out.write(text)
                        out.flush()
        for file in files:
            file.close()

    thread = threading.Thread(target=write, daemon=True, name="server's log")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_LAST_LINES)


class _Growing:
    """What is added to a file from now on. Its place may be taken by a new file, and it may be emptied."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._file = self._opened()
        if self._file:
            self._file.seek(0, os.SEEK_END)

    def more(self) -> str:
        """Return what was added since the last call. Raises OSError."""
        found = self._rest()
        fresh = self._opened()
        if fresh and not (self._file and os.path.sameopenfile(fresh.fileno(), self._file.fileno())):
            found += self._rest()  # what was added before it was replaced
            if self._file:
                self._file.close()
            self._file = fresh
            found += self._rest()
        elif fresh:
            fresh.close()
        return self._decoder.decode(found)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def _opened(self) -> BinaryIO | None:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None

    def _rest(self) -> bytes:
        if self._file is None:
            return b""
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
        return self._file.read()
