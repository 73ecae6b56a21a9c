"""`HistoryQueries`: the thread that answers queries of the history and keeps its word index up to date."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from streamcli.errors import FileTrouble, StreamcliError
from streamcli.model.message import Message
from streamcli.storage.history import History
from streamcli.storage.word_index import Found, WordIndex

STEP = 1000  # messages indexed per step while a search waits: some 20 ms
SMALL_STEP = 200  # messages per step in the background: this thread may hold Python's lock meanwhile
REST = 0.01  # seconds between two steps, to leave time for drawing and input
SOON = 1.0  # seconds after a message: searches rarely look for what is still on the screen

T = TypeVar("T")

_log = logging.getLogger(__name__)


class HistoryQueries:
    """One terminal's queries. Call from the loop's thread; each call raises StreamcliError with a sentence."""

    def __init__(self, path: Callable[[], Path | None], now: Callable[[], float] = time.monotonic) -> None:
        """``path()`` returns the history's current file, None when there is none."""
        self._path, self._now = path, now
        self._words: WordIndex | None = None
        self._words_of: Path | None = None
        self._indexing: asyncio.Task[None] | None = None
        self._more = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lookup")

    async def last(self, count: int) -> list[Message]:
        """Return the last ``count`` messages, oldest first."""
        return await self._in_thread(lambda: self._last(count))

    async def search(self, words: str, count: int, patience: float) -> Found:
        """Return the newest ``count`` messages with these words, newest first; see WordIndex.search.

        Unindexed messages are indexed first, for up to ``patience`` seconds.
        """
        until = self._now() + patience
        while await self.index(STEP) and self._now() < until:
            pass
        return await self._in_thread(lambda: self._open().search(words, count))

    async def index(self, step: int = SMALL_STEP) -> int:
        """Index some messages and return how many are left."""
        return await self._in_thread(lambda: self._open().index_some(step))

    def more_came(self) -> None:
        """Index new messages in the background, when there is time."""
        self._more = True
        if self._indexing is None or self._indexing.done():
            self._indexing = asyncio.create_task(self._index())

    def close(self) -> None:
        """Close the files."""
        if self._indexing:
            self._indexing.cancel()
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True, cancel_futures=False)

    async def _index(self) -> None:
        try:
            while self._more:
                await asyncio.sleep(SOON)
                self._more = False
                left = 1
                while left:
                    left = await self.index()
                    await asyncio.sleep(REST)
        except StreamcliError as error:
            _log.warning("the word index does not go on: %s", error)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._thread.submit(work))

    def _last(self, count: int) -> list[Message]:
        path = self._existing()
        with History.open(path.parent) as history:
            return history.last(count)

    def _open(self) -> WordIndex:
        path = self._existing()
        if self._words is None or self._words_of != path:
            self._close()
            self._words, self._words_of = WordIndex(path), path
        return self._words

    def _existing(self) -> Path:
        path = self._path()
        if path is None:
            raise FileTrouble("There is no history on this machine yet.")
        return path

    def _close(self) -> None:
        if self._words:
            with contextlib.suppress(StreamcliError):
                self._words.close()
            self._words = None
