"""Tab completion: commands at the start of a line, names anywhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from streamcli.commands import completions
from streamcli.ui import ScreenDelegate

LONGEST_TYPED = 256  # characters before the cursor that are searched for the start of a name


class ChatCompleter(Completer):
    """Completes the text before the cursor from the commands and from ``host.people()``."""

    def __init__(self, host: ScreenDelegate) -> None:
        self._host = host

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        """Yield commands at the start of a line, names anywhere."""
        before = document.text_before_cursor
        if before.startswith("/") and " " not in before:
            for name, help in completions(before):
                yield Completion(name, -len(before), display_meta=help)
            return
        if not event.completion_requested:
            return
        names = [(name, _plain(name)) for name in reversed(self._host.people())]
        for word in _beginnings(before):
            mark = "@" if word.startswith("@") else ""
            typed = _plain(word[len(mark) :])
            if not (typed or mark):
                continue
            if found := [name for name, plain in names if plain.startswith(typed)]:
                end = ": " if word == before else " "
                yield from (Completion(mark + name + end, -len(word), display=name) for name in found)
                return


def _beginnings(before: str) -> Iterator[str]:
    """Yield every text before the cursor that may begin a name, longest first: names may contain blanks."""
    first = max(0, len(before) - LONGEST_TYPED)
    for at in range(first, len(before)):
        if (at == first or not _is_of_a_word(before[at - 1])) and not before[at].isspace():
            yield before[at:]


def _is_of_a_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM" or char in "_@"


def _plain(text: str) -> str:
    """``text`` without case and accents."""
    return "".join(char for char in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(char))
