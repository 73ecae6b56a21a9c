"""`OutboxThread`: writes the outbox in a thread of its own, so that typing never waits for the disk.

When the outbox can't be written, the user is told once; messages are sent all the same, and stored as soon as possible:
with the next line, every few seconds, and before leaving.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from streamcli.errors import StreamcliError
from streamcli.model.event import Entry
from streamcli.model.message import Message
from streamcli.storage.directories import Places, place_of
from streamcli.storage.history import History
from streamcli.storage.outbox import Outbox, count_in
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.guard import post, watch

T = TypeVar("T")
TRY_AGAIN_AFTER = 3.0  # seconds until a failed write is retried without another line

_log = logging.getLogger(__name__)


class Content(NamedTuple):
    """The content of this terminal's part of the outbox, in order, and how many messages wait for other addresses."""

    waiting: list[Entry]
    failures: list[Entry]
    elsewhere: dict[str, int]


class OutboxThread:
    """Keeps messages on disk from when they are typed until they are read back. Call from the loop's thread.

    Calls take effect in the order in which they are made.
    """

    def __init__(self, places: Places, address: str, say: Callable[[str], None], clock: Clock = SYSTEM) -> None:
        """``address`` says where the messages go (places.address_key); ``say`` takes sentences, in the loop."""
        self._places, self._address, self._say = places, address, say
        self._clock = clock
        self._outbox: Outbox | None = None
        self._to_add: deque[Message] = deque()
        self._kept: set[str] = set()
        self._said = self._closed = False
        self._again: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._loop = asyncio.get_running_loop()

    def start(self, adopted: Callable[[list[Entry]], None]) -> None:
        """Open the outbox and pass on what dead terminals left to send, in order. Call once, in the loop."""

        def job() -> None:
            left: list[Entry] = []
            try:
                left = self._open()
            except StreamcliError as error:
                self._say_once(error)
            post(self._loop, adopted, left)

        watch(self._thread.submit(job))

    def keeps(self, ids: Iterable[str]) -> bool:
        """Return whether all of these are on disk, so that a later start sends them if this one does not."""
        return self._kept.issuperset(ids)

    def add(self, message: Message) -> None:
        """Store a message."""
        self._to_add.append(message)
        self._do(self._add, self._have)

    def sent(self, ids: Sequence[str]) -> None:
        """Delete these messages: they are in the log."""
        self._kept.difference_update(ids)

        def forget(outbox: Outbox) -> None:
            if self._to_add:  # messages that could not be stored, and now need not be
                known = set(ids)
                messages = self._all_to_add()
                self._to_add.extendleft(message for message in reversed(messages) if message.id not in known)
            try:
                outbox.sent(ids)
            finally:
                # Again, because on a slow disk a message may be read back before it is reported as kept.
                post(self._loop, self._kept.difference_update, ids)

        self._do(forget)

    def failed(self, ids: Sequence[str], reason: str) -> None:
        """Record that the server refused these permanently; ``reason`` is a sentence."""

        def note_down(outbox: Outbox) -> None:
            for id in ids:
                outbox.failed(id, reason)

        self._do(note_down)

    async def retry(self) -> list[Entry]:
        """Let all failed messages wait again; return them."""
        return await self._ask(lambda outbox: outbox.retry()) or []

    async def drop(self) -> list[Entry]:
        """Delete all failed messages; return them."""
        return await self._ask(lambda outbox: outbox.drop()) or []

    async def content(self) -> Content | None:
        """Return the content; None when the outbox can't be used."""
        return await self._ask(lambda outbox: Content(outbox.waiting(), outbox.failures(), self._elsewhere()))

    async def settle(self) -> None:
        """Wait until all earlier calls have taken effect."""
        if self._to_add:
            self._have(await self._ask(self._add) or [])
        else:
            await asyncio.wrap_future(self._thread.submit(lambda: None))

    def close(self) -> None:
        """Close the file, after all earlier calls."""
        self._closed = True
        watch(self._thread.submit(self._close))
        self._thread.shutdown(wait=True)

    def _open(self) -> list[Entry]:
        self._outbox = outbox = Outbox(self._places.outbox(self._address), self._clock)
        if outbox.lost:
            self._tell(f"The outbox was damaged, and what waited in it is not sent. The old file is {outbox.lost}.")
        left = outbox.adopt()
        if failures := outbox.failures():
            self._tell(f"{counted(len(failures))} could not be sent; /outbox says why.")
        there = self._known([entry.message for entry in left])
        outbox.sent([entry.message.id for entry, known in zip(left, there, strict=True) if known])
        left = [entry for entry, known in zip(left, there, strict=True) if not known]
        self._loop.call_soon_threadsafe(self._kept.update, [entry.message.id for entry in left])
        return left

    def _elsewhere(self) -> dict[str, int]:
        """Return how many messages wait for each other address, by its description for the user."""
        found: Counter[str] = Counter()
        for address, folder in self._places.other_outboxes(self._address):
            try:
                found[place_of(address)] += count_in(folder)
            except StreamcliError as error:
                _log.warning("can't look into another outbox: %s", error)
        return {place: count for place, count in found.items() if count}

    def _close(self) -> None:
        if self._outbox:
            self._outbox.close()

    def _known(self, left: Sequence[Message]) -> list[bool]:
        """Return which of these were read from the log already: their terminal ended before it could record that."""
        log = self._places.log_at(self._address) if left else None
        if log is None:
            return [False] * len(left)
        try:
            with History.open(self._places.history(log)) as history:
                return history.knows(left)
        except StreamcliError as error:
            _log.warning("sending again what may be in the log: %s", error)  # harmless: the id stays the same
            return [False] * len(left)

    def _add(self, outbox: Outbox) -> list[str]:
        # All that piled up while the disk was busy or full is written with one wait.
        messages = self._all_to_add()
        if not messages:
            return []
        try:
            outbox.add(messages)
        except BaseException:
            self._to_add.extendleft(reversed(messages))
            post(self._loop, self._try_again_later, None)
            raise
        return [message.id for message in messages]

    def _all_to_add(self) -> list[Message]:
        return [self._to_add.popleft() for _ in range(len(self._to_add))]

    def _have(self, ids: Iterable[str]) -> None:
        self._kept.update(ids)

    def _try_again_later(self, nothing: None) -> None:
        if self._again is None:
            self._again = self._loop.call_later(TRY_AGAIN_AFTER, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        if self._to_add and not self._closed:
            self._do(self._add, self._have)

    def _do(self, work: Callable[[Outbox], T], then: Callable[[T], object] = lambda result: None) -> None:
        """Run ``work`` in the thread, and pass its result to ``then`` in the loop."""

        def job() -> None:
            result = self._tried(work)
            if result is not None:
                post(self._loop, then, result)

        watch(self._thread.submit(job))

    async def _ask(self, work: Callable[[Outbox], T]) -> T | None:
        return await asyncio.wrap_future(self._thread.submit(self._tried, work))

    def _tried(self, work: Callable[[Outbox], T]) -> T | None:
        if self._outbox is None:
            return None
        try:
            result = work(self._outbox)
        except StreamcliError as error:
            self._say_once(error)
            return None
        self._said = False
        return result

    def _say_once(self, error: StreamcliError) -> None:
        _log.error("the outbox: %s", error)
        if not self._said:
            self._said = True
            self._tell(f"{error} What you type is sent, but lost if streamcli ends before.")

    def _tell(self, text: str) -> None:
        post(self._loop, self._say, text)


def counted(count: int) -> str:
    """Return the count as text: "1 message", "2 messages"."""
    return f"{count:,} message{'s' if count != 1 else ''}"
