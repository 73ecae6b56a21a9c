"""The lines a person has typed, kept for the arrow keys from day to day. Written beside the typing, never before it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prompt_toolkit.history import FileHistory

from streamcli.errors import from_os_error
from streamcli.paths import made

KEPT_BYTES = 256 * 1024


class InputHistory(FileHistory):
    """prompt_toolkit's history file with mode 0600, bounded, and written in a thread: a key never waits for a disk."""

    def __init__(self, path: Path, on_trouble: Callable[[str], None]) -> None:
        """``on_trouble(sentence)`` is called once, in that thread, when a line can't be kept."""
        made(path.parent)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            _trim(path)
        except OSError as error:
            raise from_os_error(error, path) from error
        super().__init__(str(path))
        self._path, self._on_trouble = path, on_trouble
        self._on_disk, self._cleared = True, list[str]()
        self._disk = ThreadPoolExecutor(1, "input-history")

    def store_string(self, string: str) -> None:
        """Keep one line."""
        if self._on_disk:
            self._disk.submit(self._store, string)
        else:
            self._cleared.append(string)

    def load_history_strings(self) -> Iterable[str]:
        """All lines, newest first. This is asked for when the first key wants one, so it knows of earlier clearing."""
        yield from reversed(self._cleared)
        yield from super().load_history_strings()

    @contextlib.contextmanager
    def only_here(self) -> Iterator[None]:
        """What is kept in here is kept by this chat only, and not on the disk: it was never sent."""
        self._on_disk = False
        try:
            yield
        finally:
            self._on_disk = True

    def close(self) -> None:
        """Wait until what was typed is kept."""
        self._disk.shutdown()

    def _store(self, string: str) -> None:
        try:
            super().store_string(string)
        except OSError as error:
            trouble, self._on_trouble = self._on_trouble, lambda sentence: None
            trouble(f"What you type is not kept for the arrow keys: {from_os_error(error, self._path)}")


def _trim(path: Path) -> None:
    if path.stat().st_size > 2 * KEPT_BYTES:
        kept = path.read_bytes()[-KEPT_BYTES:]
        path.write_bytes(kept[kept.find(b"\n#") + 1 :])
