"""What Tab completes: commands at the start of a line, names anywhere."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from streamcli.commands import completions
from streamcli.screen import Host


class ChatCompleter(Completer):
    """Completes what stands before the cursor, from the commands and from the names that ``host`` knows."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        """Commands at the start of a line, names anywhere."""
        before = document.text_before_cursor
        if before.startswith("/") and " " not in before:
            for name, help in completions(before):
                yield Completion(name, -len(before), display_meta=help)
            return
        word = before.rpartition(" ")[2]
        if not word or not event.completion_requested:
            return
        end = ": " if word == before else " "
        mark = "@" if word.startswith("@") else ""
        for name in reversed(self._host.people()):
            if name.casefold().startswith(word[len(mark) :].casefold()):
                yield Completion(mark + name + end, -len(word), display=name)
