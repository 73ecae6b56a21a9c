"""What a gate's frames say. Pure. All functions raise ValueError for whatever is not as it should be."""

from __future__ import annotations

import struct
import unicodedata
from itertools import pairwise
from typing import Any, Final, NamedTuple

from streamcli.errors import UsageError
from streamcli.log.api import ConnectionStatus, Event, Phase
from streamcli.log.frames import Received, unpack_count
from streamcli.log.located import located_events
from streamcli.model.cursor import LogOpened
from streamcli.model.names import valid_id
from streamcli.model.segment import is_offset, is_segment_name, segment_name

Place = tuple[str, int]

_MOST_WORDS: Final = 300  # characters of a sentence that is shown
_COUNT_BYTES: Final = 4
_JOINERS: Final = "\u200c\u200d"  # in names that are scripts or emoji of several letters


class Failure(NamedTuple):
    """Why the gate ends the connection, and whether it will do so again until a person acts."""

    words: str
    final: bool


def places_of(frame: Received) -> list[Place]:
    """Return the gate's addresses from a WELCOME frame."""
    places = _fields(frame, "places")["places"]
    if not isinstance(places, list) or not all(map(_is_place, places)):
        raise ValueError("no addresses")
    return [(host, port) for host, port in places]


def status_of(frame: Received) -> ConnectionStatus:
    """Return how the gate's own connection is."""
    fields = _fields(frame, "phase", "words")
    return ConnectionStatus(Phase(fields["phase"]), words_of(fields["words"]))


def failure_of(frame: Received) -> Failure:
    """Return why the connection ends."""
    fields = _fields(frame, "kind", "text")
    return Failure(words_of(fields["text"]).rstrip("."), fields["kind"] == "denied")


def writable_of(frame: Received) -> tuple[str, int]:
    """Return the log that can be appended to, and how often it was opened."""
    fields = _fields(frame, "log", "life")
    log, life = fields["log"], fields["life"]
    if not isinstance(log, str) or not isinstance(life, int) or not 0 <= life < 1 << 32:
        raise ValueError("nothing to write to")
    return log, life


def count_of(frame: Received) -> int:
    """Return how many events were acknowledged."""
    if len(frame.payload) != _COUNT_BYTES:
        raise ValueError("no number")
    return unpack_count(frame.payload)


def rejection_of(frame: Received) -> str:
    """Return why an event is refused."""
    return words_of(_fields(frame, "text")["text"])


def opened_of(frame: Received) -> LogOpened:
    """Return what the gate has opened."""
    fields = _fields(frame, "log", "segments", "starts", "tails")
    log, segments, starts, tails = (fields[name] for name in ("log", "segments", "starts", "tails"))
    whole = isinstance(log, str) and is_offset(segments) and segments > 0
    if not whole or not starts or not all(map(_are_offsets, (starts, tails))):
        raise ValueError("no log")
    return LogOpened(log, segments, starts, tails)


def events_of(frame: Received, log: str) -> tuple[str, list[Event]]:
    """Return the events of an EVENTS frame and the name of their segment of ``log``."""
    try:
        number, batch = located_events(frame.payload)
    except struct.error:
        raise ValueError("no events") from None
    if not (is_offset(number) and is_offset(batch[-1].end)) or any(
        one.end > other.offset for one, other in pairwise(batch)
    ):
        raise ValueError("events out of order")
    return segment_name(log, number), batch


def is_admission(answer: dict[str, Any]) -> bool:
    """Whether this answer to who joins lets them in: with a certificate, and what there is to know of the chat."""
    certificate, owner, stream, places = (answer.get(name) for name in ("certificate", "owner", "stream", "places"))
    whole = isinstance(certificate, str) and isinstance(stream, str) and stream.isprintable()
    return whole and _is_name(owner) and isinstance(places, list) and all(map(_is_place, places))


def words_of(text: object) -> str:
    """Return a sentence of the gate's as it may be shown: it must not steer the terminal."""
    if not isinstance(text, str):
        raise ValueError("no words")
    return "".join("\ufffd" if _steers(letter) else letter for letter in text[:_MOST_WORDS])


def _fields(frame: Received, *names: str) -> dict[str, Any]:
    try:
        fields = frame.fields()
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(fields, dict) or not fields.keys() >= set(names):
        raise ValueError(f"a frame of type {frame.kind.value} without {', '.join(names)}")
    return fields


def _steers(letter: str) -> bool:
    return letter not in _JOINERS and unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _is_name(value: object) -> bool:
    try:
        return isinstance(value, str) and valid_id(value) == value
    except UsageError:
        return False


def _is_place(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    host, port = value
    return isinstance(host, str) and bool(host) and is_offset(port) and 0 < port < 65_536


def _are_offsets(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_segment_name, value)) and all(map(is_offset, value.values()))
