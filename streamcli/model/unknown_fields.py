"""Unknown fields of an event, kept as their original JSON text. Pure.

Values are not parsed and encoded again: numbers keep their digits, nested objects their order and duplicate names. Only
what is not valid JSON is changed: a lone surrogate becomes U+FFFD, and NaN and the infinities become null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from itertools import accumulate
from typing import Final, TypeAlias

MOST_FIELDS: Final = 1000  # fields read of an event
DEEPEST: Final = 100  # levels of nesting of a value; some programs can't read more than 128

Fields: TypeAlias = tuple[tuple[str, str], ...]  # names and values, both as JSON text on one line

_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_NOT_PLAIN: Final = re.compile(rf"{_STRING}|[ \t\r\n]+|NaN|-?Infinity")
# A string may lack its end here: if that did not match, each quote in it would be tried, for seconds.
_BRACKET: Final = re.compile(r'"[^"\\]*(?:\\[\s\S][^"\\]*)*(?:"|\\?\Z)|[\[\]{}]')
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# Used only to find where a value ends. Parsing numbers as str avoids int()'s limit on digits.
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


class UnknownFields:
    """The unknown fields of one event; parsed lazily, since few are ever needed."""

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
        """The fields that fit into ``limit`` bytes, parsed at once: ``event`` is too long to keep."""
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
    """Return the fields of ``data``, a JSON object, that are not ``known``, in order; of duplicates the last wins.

    Left out: names that differ from a known one in case only (some programs would confuse them), values nested too
    deep, and what exceeds ``limit`` bytes in total.
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
        pass  # Python can't parse this value, though pydantic may have: the fields after it are lost
    return tuple(found.items())


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _quoted(text: str) -> str:
    return json.dumps(_SURROGATE.sub("\ufffd", text), ensure_ascii=False)


def _plain(value: str) -> str:
    """Return ``value`` as valid JSON on one line."""
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
    """Return the nesting depth of objects and lists in a JSON text."""
    steps = (1 if token in "[{" else -1 for token in _BRACKET.findall(value) if token[0] != '"')
    return max(accumulate(steps), default=0)
