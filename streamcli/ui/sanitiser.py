"""Sanitises all text from outside before it reaches a terminal: names, messages, rooms, errors of a server.

The output contains no control characters, no direction overrides, and nothing invisible that makes two names look the
same. What was there is shown in a harmless form (``␛`` for an escape, ``<U+202E>`` for a direction override). Emoji,
accents, wide and right-to-left letters pass.

Guarantees, each tested: cleaning is idempotent; joiners and variation selectors are kept only where they have an
effect; a terminal prints the output and does nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from typing import Final

MAX_MARKS: Final = 8
"""How many combining marks in a row pass. No script needs more, and a stack of them covers the lines above."""

_TAB = "    "
_ELLIPSIS = "…"
_CIRCLE = "◌"
_REPLACEMENT = "\ufffd"
_JOINERS = "\u200c\u200d"
_TAGS = "".join(map(chr, range(0xE0000, 0xE0080)))
_LINE_BREAK = re.compile("\r\n|\n|\r")


def _flag(region: str) -> str:
    return "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f"


# The only flags that Unicode recommends as tag sequences. Elsewhere tags can hide one text inside another.
FLAGS: Final = (_flag("gbeng"), _flag("gbsct"), _flag("gbwls"))
_TOKEN = re.compile("|".join(FLAGS) + "|.", re.DOTALL)


class _Kind(Enum):
    PLAIN = 1  # printed as it is, or as its replacement
    JOINABLE = 2  # a letter or symbol outside ASCII; a joiner may stand between two of them
    BLANK = 3
    MARK = 4  # combines with the character before it
    SELECTOR = 5  # selects a glyph for the character before it
    JOINER = 6
    FLAG = 7


def clean_line(text: str, limit: int | None = None) -> str:
    """Return ``text`` as one safe line, for names, rooms and errors; cut to ``limit`` characters, ending in "…"."""
    line = text if _is_plain(text) else _clean(_LINE_BREAK.sub(" ", text))
    if limit is None or len(line) <= limit:
        return line
    # The cut must not leave half a flag or a dangling joiner.
    return line[: limit - 1].rstrip(_JOINERS + _TAGS) + _ELLIPSIS


def clean_text(text: str) -> list[str]:
    """Return a message's text as safe lines: at least one, which may be empty."""
    if _is_plain(text):
        return [text]
    return [line if _is_plain(line) else _clean(line) for line in _LINE_BREAK.split(text)]


def _is_plain(text: str) -> bool:
    """Fast check whether cleaning would change nothing, as for nearly every message."""
    if not text.isprintable():
        return False
    # The first combining mark is U+0300.
    return text.isascii() or max(text) < "\u0300" or all(map(_is_simple, set(text)))


def _is_simple(char: str) -> bool:
    kind, shown = _LOOKS[char]
    return shown == char and kind in (_Kind.PLAIN, _Kind.JOINABLE, _Kind.BLANK)


def _clean(line: str) -> str:
    """Clean a single line. Decisions depend only on what was kept so far, which makes cleaning idempotent."""
    kept: list[str] = []
    before, marks = _Kind.BLANK, 0
    tokens = _TOKEN.findall(line)
    for token, after in zip(tokens, [*tokens[1:], " "], strict=False):
        kind, shown = _LOOKS[token]
        if not _belongs(kind, before, marks, _LOOKS[after][0]):
            continue
        if kind is _Kind.MARK and not kept:
            kept.append(_CIRCLE)  # else it would combine with what the screen shows before the line
        kept.append(shown)
        marks = marks + 1 if kind is _Kind.MARK else 0
        before = kind
    return "".join(kept)


def _belongs(kind: _Kind, before: _Kind, marks: int, after: _Kind) -> bool:
    """Whether a token of ``kind`` has an effect between what was kept before it and what follows."""
    if kind is _Kind.MARK:
        return marks < MAX_MARKS
    if kind is _Kind.SELECTOR:
        return before in (_Kind.PLAIN, _Kind.JOINABLE)
    if kind is _Kind.JOINER:
        return before in (_Kind.JOINABLE, _Kind.MARK, _Kind.SELECTOR) and after is _Kind.JOINABLE
    return True


class _Looks(dict[str, tuple[_Kind, str]]):
    """A cache: for each token its kind and how it is shown."""

    def __missing__(self, token: str) -> tuple[_Kind, str]:
        if len(self) > 10_000:
            self.clear()  # bound the memory even if somebody sends every character there is
        looks = self[token] = _looks(token)
        return looks


_LOOKS: Final = _Looks()


def _looks(token: str) -> tuple[_Kind, str]:
    if token in FLAGS:
        return _Kind.FLAG, token
    kind = _kind(token)
    if kind:
        return kind, token
    shown = _harmless(ord(token), unicodedata.category(token))
    # The kind is that of the replacement's last character, so that cleaning again gives the same result.
    return _kind(shown[-1]) or _Kind.PLAIN, shown


def _kind(char: str) -> _Kind | None:
    """Return the kind of ``char``, or None if it must not reach a terminal."""
    if char in _JOINERS:
        return _Kind.JOINER
    code, category = ord(char), unicodedata.category(char)
    if char == " " or code == 0x3000:
        return _Kind.BLANK
    if category[0] == "M":
        return _Kind.SELECTOR if _is_selector(code) else _Kind.MARK
    if category[0] == "L":
        return _kind_of_letter(code)
    if category[0] == "S" and code > 0x7F:
        return _Kind.JOINABLE
    # Python 3.10 knows the emoji of 2020. Newer ones are in a range reserved for pictographs.
    if category == "Cn":
        return _Kind.JOINABLE if 0x1F000 <= code <= 0x1FAFF else None
    return _Kind.PLAIN if category[0] in "NPS" or category == "Co" else None


def _kind_of_letter(code: int) -> _Kind | None:
    if code in (0x115F, 0x1160, 0x3164, 0xFFA0):
        return None  # fillers: letters by category, but invisible
    if 0x1160 < code <= 0x11FF or 0xD7B0 <= code <= 0xD7FF:
        return _Kind.MARK  # vowels and final consonants of Hangul combine with the letter before
    return _Kind.JOINABLE if code > 0x7F else _Kind.PLAIN


def _harmless(code: int, category: str) -> str:
    """Return the text to show in place of a character that must not reach a terminal."""
    if code == 0x09:
        return _TAB
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if category == "Zs":
        return " "
    return _REPLACEMENT if category == "Cs" or _is_noncharacter(code) else f"<U+{code:04X}>"


def _is_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or code in (0x180B, 0x180C, 0x180D, 0x180F)


def _is_noncharacter(code: int) -> bool:
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
