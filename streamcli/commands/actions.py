"""What a line can mean: small values that can be compared, each saying what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from streamcli.model.message import Kind


@dataclass(frozen=True)
class Context:
    """What commands need from outside: ``choose`` picks one of several texts (random.choice, or a fixed one)."""

    choose: Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class Send:
    """Send ``text`` as a message of ``kind``; sender, id, room and time are added by who sends it."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Show:
    """Show ``lines`` to this person only."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class UsageHint:
    """Tell this person, quietly and in one line, why nothing was done."""

    text: str


@dataclass(frozen=True)
class Recall:
    """Show the last ``count`` messages of the history again."""

    count: int


@dataclass(frozen=True)
class Search:
    """Show the messages of the history in which ``words`` stand."""

    words: str


@dataclass(frozen=True)
class Outbox:
    """Show what waits to be sent and what failed."""


@dataclass(frozen=True)
class Retry:
    """Send what failed once more."""


@dataclass(frozen=True)
class Drop:
    """Forget what failed."""


@dataclass(frozen=True)
class Quit:
    """Leave the chat."""


@dataclass(frozen=True)
class Nothing:
    """A blank line: there is nothing to do."""


Query: TypeAlias = Recall | Search | Outbox | Retry | Drop
"""What is answered by this machine's memory."""

Action: TypeAlias = Send | Show | UsageHint | Query | Quit | Nothing
