"""The actions that a typed line can mean: frozen, comparable values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from streamcli.model.message import Kind


@dataclass(frozen=True)
class Context:
    """What commands need from outside: ``choose`` picks one of several texts (random.choice; in tests the first)."""

    choose: Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class Send:
    """Send ``text`` as a message of ``kind``; the caller adds sender, id, room and time."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Show:
    """Show ``lines`` on this terminal only."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class UsageHint:
    """Tell the user in one line, on this terminal only, why nothing was done."""

    text: str


@dataclass(frozen=True)
class Recall:
    """Show the last ``count`` messages of the history."""

    count: int


@dataclass(frozen=True)
class Search:
    """Show the messages of the history that contain all ``words``."""

    words: str


@dataclass(frozen=True)
class Outbox:
    """Show the outbox: unsent and failed messages."""


@dataclass(frozen=True)
class Retry:
    """Send the failed messages again."""


@dataclass(frozen=True)
class Drop:
    """Delete the failed messages from the outbox."""


@dataclass(frozen=True)
class Share:
    """Do what `streamcli invite`, `guests` or `uninvite` does, with ``argument`` as in a shell."""

    name: str
    argument: str


@dataclass(frozen=True)
class Quit:
    """Leave the chat."""


@dataclass(frozen=True)
class Nothing:
    """A blank line: do nothing."""


Query: TypeAlias = Recall | Search | Outbox | Retry | Drop
"""Actions on the history and the outbox of this machine."""

Action: TypeAlias = Send | Show | UsageHint | Query | Share | Quit | Nothing
