"""`QueryCommands`: runs /history, /search, /outbox, /retry and /drop and shows the results above the prompt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from streamcli.commands import Drop, Outbox, Query, Recall, Retry, Search
from streamcli.errors import StreamcliError
from streamcli.model.event import Entry
from streamcli.model.message import Message
from streamcli.storage import word_index
from streamcli.storage.history_queries import HistoryQueries
from streamcli.storage.outbox_thread import OutboxThread, counted
from streamcli.system.log_file import our_fault
from streamcli.ui.days import Days
from streamcli.ui.render import MessageStyle
from streamcli.ui.sanitiser import clean_line

FOUND_SHOWN = 20
OUTBOX_SHOWN = 20  # unsent messages, and as many failed ones
REASON = 200  # characters of a server's reason
QUOTED = 60  # characters of the search text
INDEXING = 0.3  # seconds that a search waits for the word index to catch up

_log = logging.getLogger(__name__)


class Resender(Protocol):
    """Sends failed messages again."""

    def send_again(self, entries: Sequence[Entry]) -> None:
        """Queue ``entries`` for sending."""


class QueryCommands:
    """Runs queries in the threads of the history and the outbox, and shows their results. Never blocks the loop."""

    def __init__(
        self,
        history: HistoryQueries,
        outbox: OutboxThread,
        resender: Resender,
        style: MessageStyle,
        say: Callable[[str], None],
    ) -> None:
        self._history, self._outbox, self._resender, self._say = history, outbox, resender, say
        self._style = replace(style, colour=False)
        self._asking: set[asyncio.Task[None]] = set()

    def ask(self, question: Query) -> None:
        """Start the query; its result is shown when it is ready."""
        task = asyncio.create_task(self._ask(question))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, question: Query) -> None:
        try:
            self._say(await self._answer(question))
        except StreamcliError as error:
            self._say(str(error))
        except Exception as error:  # nothing awaits the task, so the error would get lost
            _log.exception("%s failed", type(question).__name__)
            self._say(str(our_fault(error)))

    async def _answer(self, question: Query) -> str:
        if isinstance(question, Recall):
            messages = await self._history.last(question.count)
            if not messages:
                return "There are no messages yet."
            return "\n".join(
                [f"The last {counted(len(messages))}:", *self._quoted(messages, replace(self._style, whole=""))]
            )
        if isinstance(question, Search):
            return await self._found(question.words)
        if isinstance(question, Outbox):
            return await self._content()
        if isinstance(question, Retry):
            entries = await self._outbox.retry()
            self._resender.send_again(entries)
            return f"Sending {_named(entries)} again." if entries else "No message has failed."
        assert isinstance(question, Drop)
        entries = await self._outbox.drop()
        return f"Deleted from the outbox: {_named(entries)}." if entries else "No message has failed."

    async def _found(self, words: str) -> str:
        limits = word_index.limits(words)
        if not word_index.query(words):
            return f"No words to search for in “{clean_line(words, QUOTED)}”. {limits}"
        found = await self._history.search(words, FOUND_SHOWN + 1, INDEXING)
        messages = list(reversed(found.messages[:FOUND_SHOWN]))
        are = "is" if found.behind == 1 else "are"
        notes = f" The newest {counted(found.behind)} {are} not indexed yet." if found.behind else ""
        notes += f" {limits}" if limits else ""
        if not messages:
            return f"Nothing found.{notes}"
        many = len(found.messages) > FOUND_SHOWN
        head = f"Newest {FOUND_SHOWN} of more than {FOUND_SHOWN} matches" if many else f"{counted(len(messages))} found"
        return "\n".join([f"{head}:{notes}", *self._quoted(messages, self._style)])

    async def _content(self) -> str:
        content = await self._outbox.content()
        if content is None:
            return "The outbox can't be used; see the log file."
        lines = _first(
            [f"failed: {entry.text()} ({clean_line(entry.reason or '', REASON)})" for entry in content.failures]
        )
        lines += _first([f"unsent: {entry.text()}" for entry in content.waiting])
        if content.failures:
            lines.append("/retry sends failed messages again, /drop deletes them.")
        if not lines and content.elsewhere:
            lines = ["No unsent messages for this address."]
        elif not lines:
            lines = ["The outbox is empty: everything you typed is in the log."]
        for address, count in content.elsewhere.items():
            lines.append(f"{counted(count)} for {address}: start with that address to send.")
        return "\n".join(lines)

    def _quoted(self, messages: Sequence[Message], style: MessageStyle) -> list[str]:
        lines: list[str] = []
        for day, message, off in Days(style).divide(messages):
            lines += [style.day_name(day)] if day else []
            lines.append(f"  {style.message(message, off)}")
        return lines


def _first(lines: list[str]) -> list[str]:
    """The first OUTBOX_SHOWN lines, and how many more there are."""
    more = len(lines) - OUTBOX_SHOWN
    return lines if more <= 0 else [*lines[:OUTBOX_SHOWN], f"… and {more:,} more"]


def _named(entries: Sequence[Entry]) -> str:
    return f"“{entries[0].text()}”" if len(entries) == 1 else counted(len(entries))
