"""Logs to store, as a read worker would bring them: events that follow each other, some of them strange."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamcli.model.event import DecodedEvent
from streamcli.model.message import Chat, decode, encode, make

HEAD = 8
PLACE = "log#0"


def log_of(datas: Iterable[bytes], start: int = 0) -> list[DecodedEvent]:
    """The events of a stream of one segment that holds these bytes."""
    events: list[DecodedEvent] = []
    for data in datas:
        end = start + HEAD + len(data)
        events.append(DecodedEvent(start, end, data, decode(data, start)))
        start = end
    return events


def said(text: str, number: int, sender: str = "tim") -> bytes:
    return encode(message(text, number, sender))


def message(text: str, number: int, sender: str = "tim") -> Chat:
    made = make("chat", text, sender=sender, id=f"{1_700_000_000_000 + number:012x}{number:020x}")
    assert isinstance(made, Chat)
    return made


def talk(count: int, start: int = 0) -> list[DecodedEvent]:
    return log_of(said(f"message {number}", number) for number in range(start, start + count))


def batches(events: Sequence[DecodedEvent], size: int) -> list[Sequence[DecodedEvent]]:
    return [events[first : first + size] for first in range(0, len(events), size)]
