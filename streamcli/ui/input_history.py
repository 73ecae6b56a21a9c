"""The persistent input history behind the arrow keys. Written in a thread, so that typing never waits for the disk."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prompt_toolkit.history import FileHistory, ThreadedHistory

from streamcli.errors import FileTrouble, StreamcliError, from_os_error
from streamcli.system.paths import ensure_dir

KEPT_BYTES = 256 * 1024
KEPT_LINES = 1000  # in memory: after each Enter the prompt goes through all of them, in 0.3 ms


class InputHistory(FileHistory):
    """prompt_toolkit's history file, with mode 0600, bounded in size, and written in a thread."""

    def __init__(self, path: Path, on_trouble: Callable[[str], None]) -> None:
        """``on_trouble(sentence)`` is called once, in any thread, if the file fails; lines then stay in memory only."""
        super().__init__(str(path))
        self._path, self._on_trouble = path, on_trouble
        self._on_disk, self._cleared = True, list[str]()
        self._readable = True
        self._disk = ThreadPoolExecutor(1, "input-history")
        try:
            ensure_dir(path.parent)
            _open(path)
        except (OSError, StreamcliError) as error:
            self._give_up(error)

    def store_string(self, string: str) -> None:
        """Add one line."""
        if self._on_disk and self._readable:
            self._disk.submit(self._store, string)
        else:
            self._cleared.append(string)

    def load_history_strings(self) -> Iterable[str]:
        """Yield the newest lines, newest first. Called when the first one is needed, so with those cleared before."""
        return itertools.islice(self._all_lines(), KEPT_LINES)

    def _all_lines(self) -> Iterator[str]:
        with contextlib.suppress(RuntimeError):  # it was closed
            self._disk.submit(int).result()  # lines that were sent before this are written by then
        yield from reversed(self._cleared)
        if self._readable:
            try:
                yield from super().load_history_strings()
            except OSError as error:
                self._give_up(error)

    @contextlib.contextmanager
    def only_here(self) -> Iterator[None]:
        """Keep lines added inside this context in memory only: a cleared line was never sent."""
        self._on_disk = False
        try:
            yield
        finally:
            self._on_disk = True

    def close(self) -> None:
        """Wait until all lines are written."""
        self._disk.shutdown()

    def _store(self, string: str) -> None:
        try:
            super().store_string(string)
        except OSError as error:
            self._say(error)

    def _give_up(self, error: OSError | StreamcliError) -> None:
        self._readable = False
        self._say(error)

    def _say(self, error: OSError | StreamcliError) -> None:
        trouble, self._on_trouble = self._on_trouble, lambda sentence: None
        worded = error if isinstance(error, StreamcliError) else from_os_error(error, self._path)
        trouble(f"The input history is not saved: {worded}")


class LoadedHistory(ThreadedHistory):
    """Loads the file in a thread, once; afterwards its newest lines are available without delay."""

    def append_string(self, string: str) -> None:
        """Add one line, and forget the oldest one."""
        super().append_string(string)
        with self._lock:
            del self._loaded_strings[KEPT_LINES:]

    async def load(self) -> AsyncGenerator[str, None]:
        """Yield these lines, newest first."""
        # prompt_toolkit uses a thread each time, which on a busy machine is too slow for an arrow key after Enter.
        if self._loaded:
            for line in list(self._loaded_strings):
                yield line
        else:
            async for line in super().load():
                yield line


def _open(path: Path) -> None:
    # O_NONBLOCK: opening a named pipe could block for ever.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    regular = stat.S_ISREG(os.fstat(fd).st_mode)
    os.close(fd)
    if not regular:
        raise FileTrouble(f"{path} is not a regular file. Move it away.")
    _trim(path)


def _trim(path: Path) -> None:
    if path.stat().st_size > 2 * KEPT_BYTES:
        kept = path.read_bytes()[-KEPT_BYTES:]
        path.write_bytes(kept[kept.find(b"\n#") + 1 :])
