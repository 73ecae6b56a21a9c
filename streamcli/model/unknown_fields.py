"""Fields of an event that this version does not know, kept as the JSON text that stood in the event. Pure.

Values are never parsed and written again: numbers keep their digits, nested objects their order and their doubles. What
another program could not read is changed: a lone surrogate becomes U+FFFD, and NaN and the infinities become null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from itertools import accumulate
from typing import Final, TypeAlias

MOST_FIELDS: Final = 1000  # of an event that are looked at
DEEPEST: Final = 100  # levels of a value; some programs read no more than 128

Fields: TypeAlias = tuple[tuple[str, str], ...]  # names and values, both as JSON text on one line

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_NOT_PLAIN: Final = re.compile(rf"{_STRING}|[ \t\r\n]+|NaN|-?Infinity")
_BRACKET: Final = re.compile(rf"{_STRING}|[\[\]{{}}]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# Only where a value ends is asked for. Python refuses to read thousands of digits as a number.
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


class UnknownFields:
    """The unknown fields of one event; looked for when they are first asked for, since few ever are."""

    __slots__ = ("_event", "_fields", "_known")

    def __init__(self, event: bytes = b"{}", known: Collection[str] = ()) -> None:
        """``event`` must be a JSON object; see :func:`unknown_fields`."""
        self._event, self._known = event, known
        self._fields: Fields | None = None

    @property
    def fields(self) -> Fields:
        """Names and values, both as JSON text on one line."""
        if self._fields is None:
            self._fields = unknown_fields(self._event, self._known, len(self._event))
        return self._fields

    @classmethod
    def within(cls, limit: int, event: bytes, known: Collection[str]) -> UnknownFields:
        """Those that fit into ``limit`` bytes, looked for now: ``event`` is too long to keep."""
        found = cls()
        found._fields = unknown_fields(event, known, limit)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnknownFields) and self.fields == other.fields

    def __hash__(self) -> int:
        return hash(self.fields)

    def __repr__(self) -> str:
        return f"UnknownFields({self.fields})"


NONE: Final = UnknownFields()


def unknown_fields(data: bytes, known: Collection[str], limit: int) -> Fields:
    """Return the fields of ``data``, a JSON object, that are not ``known``, in its order; of a double the last counts.

    A name that differs from a known one in case only is left out: some programs would take the one for the other. So is
    a value that is nested too deep, and what does not fit into ``limit`` bytes together with those before it.
    """
    event, found = data.decode("utf-8-sig"), dict[str, str]()
    at = _after_blanks(event, 0) + 1
    try:
        for _ in range(MOST_FIELDS):
            at = _after_blanks(event, at)
            if event[at] == "}":
                break
            name, at = _DECODER.raw_decode(event, at)
            begin = _after_blanks(event, _after_blanks(event, at) + 1)
            _, end = _DECODER.raw_decode(event, begin)
            if name.casefold() not in known:
                name = _quoted(name)
                found.pop(name, None)
                value = _plain(event[begin:end]) if end - begin <= limit else ""
                size = len(f",{name}:{value}".encode())
                if value and size <= limit and depth(value) <= DEEPEST:
                    limit -= size
                    found[name] = value
            at = _after_blanks(event, end) + 1
            if event[at - 1] != ",":
                break
    except (RecursionError, ValueError):
        pass  # a value that Python does not read, though pydantic may have: what stands behind it is not reached
    return tuple(found.items())


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _quoted(text: str) -> str:
    return json.dumps(_SURROGATE.sub("\ufffd", text), ensure_ascii=False)


def _plain(value: str) -> str:
    """Return a value on one line and without what JSON does not have."""
    return _NOT_PLAIN.sub(_plain_token, value)


def _plain_token(found: re.Match[str]) -> str:
    token = found[0]
    if token[0] != '"':
        return " " if token.isspace() else "null"
    if r"\u" not in token:
        return token
    text = json.loads(token)
    return _quoted(text) if _SURROGATE.search(text) else token


def depth(value: str) -> int:
    """Return how many levels of objects and lists stand in each other in a JSON text."""
    steps = (1 if token in "[{" else -1 for token in _BRACKET.findall(value) if len(token) == 1)
    return max(accumulate(steps), default=0)
