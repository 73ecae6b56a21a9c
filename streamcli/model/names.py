"""Rules for names: users, rooms, scopes, streams and reader groups. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from streamcli.errors import UsageError
from streamcli.model.address import DEFAULT_STREAM

MAX_NAME: Final = 64
"""Longest name of a user or room, in characters."""

MAX_SERVER_NAME: Final = 100
"""Longest name of a scope or stream: it becomes part of a reader group's name, whose length is limited."""

MAX_ENCODED_USER: Final = 180
"""Longest encoded user name, so that slot and stream still fit into ``MAX_GROUP``."""

MAX_GROUP: Final = 255
"""Pravega's limit for the length of a reader group's name."""

MAX_SLOT: Final = 19
"""Longest slot in use, including the mark of a slot's second group."""

_JOINERS = "\u200c\u200d"
# Invisible characters in the letter categories: with them two different names look the same.
_BLANK_LETTERS = "\u115f\u1160\u3164\uffa0\u2800"
_SERVER_NAME = re.compile(rf"[A-Za-z0-9.-]{{1,{MAX_SERVER_NAME}}}")
_SLOT = re.compile(r"[A-Za-z0-9.]+")
_ESCAPED = re.compile(r"\.([0-9a-f]{2})|([A-Za-z0-9])")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


def valid_id(name: str) -> str:
    """Return ``name`` as it is used (trimmed, NFC), or raise UsageError with a sentence saying what is wrong."""
    name = _tidy(name, "id")
    if len(_encoded(name)) > MAX_ENCODED_USER:
        raise UsageError(
            "The id is too long for the server: shorten it (accented letters and emoji count several times)."
        )
    return name


def valid_room(name: str) -> str:
    """Return ``name`` as it is used (trimmed, NFC), or raise UsageError with a sentence saying what is wrong."""
    name = _tidy(name, "room")
    if any(char.isspace() for char in name):
        raise UsageError("The room must be one word, without spaces.")
    return name


def valid_scope_or_stream(name: str, what: str) -> str:
    """Return ``name`` if it is valid for a ``what`` ("scope" or "stream"). Raises UsageError otherwise."""
    if not _SERVER_NAME.fullmatch(name):
        raise UsageError(
            f"The {what} {quoted(name)} is not a valid name: "
            f"use 1 to {MAX_SERVER_NAME} letters (a to z), digits, '.' and '-'."
        )
    return name


def reader_group(user: str, slot: str, stream: str = DEFAULT_STREAM) -> str:
    """Return the name of the reader group of ``user`` for ``stream`` and one terminal, ``slot`` (letters, digits, '.').

    It begins with the user and '-', because access rules are patterns such as ``alice-*``. A '-' or '.' in the user is
    escaped, so ``tim-*`` never covers the user ``tim-x``. The scope is omitted: a reader group belongs to one.
    """
    if not _SLOT.fullmatch(slot):
        raise ValueError(f"not a slot: {slot!r}")
    group = f"{_encoded(user)}-{slot}" + ("" if stream == DEFAULT_STREAM else f"-{stream}")
    if len(group) > MAX_GROUP:
        raise UsageError("The id and the stream's name together are too long for the server: shorten one of them.")
    return group


def check_group(user: str, stream: str) -> None:
    """Raise UsageError if the names are too long for a reader group; called before anything is started."""
    reader_group(user, "x" * MAX_SLOT, stream)


def user_of_group(group: str) -> str:
    """Return the user that a reader group belongs to. Raises ValueError if :func:`reader_group` did not name it."""
    encoded, dash, _ = group.partition("-")
    user = _decoded(encoded)
    if not dash or not user or _encoded(user) != encoded:
        raise ValueError(f"not a reader group of streamcli: {group!r}")
    return user


def _encoded(user: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f".{byte:02x}" for byte in user.encode())


def _decoded(encoded: str) -> str:
    # What findall skips is detected when the caller encodes the result again.
    pairs = _ESCAPED.findall(encoded)
    return b"".join(bytes.fromhex(code) if code else char.encode() for code, char in pairs).decode()


def _tidy(name: str, what: str) -> str:
    name = unicodedata.normalize("NFC", name.strip())
    if not name:
        raise UsageError(f"The {what} is empty: give it at least one letter.")
    if len(name) > MAX_NAME:
        raise UsageError(f"The {what} is too long: {len(name)} characters, at most {MAX_NAME} are allowed.")
    for before, char in zip(" " + name, name, strict=False):
        if _hidden(before, char):
            raise UsageError(
                f"The {what} {quoted(name)} contains an invisible character, U+{ord(char):04X}: leave it out."
            )
    if not any(unicodedata.category(char)[0] in "LNPSC" for char in name):
        raise UsageError(f"The {what} {quoted(name)} has no visible character: give it at least one letter.")
    return name


def _hidden(before: str, char: str) -> bool:
    """Whether ``char`` is invisible, so that two names could look the same.

    Joiners are needed inside emoji and some scripts; after ASCII they only serve to imitate a name.
    """
    if char in _JOINERS:
        return before in _JOINERS or before.isascii()
    if char in _BLANK_LETTERS:
        return True
    category = unicodedata.category(char)
    # "Cn" covers characters newer than this Python, which are allowed, and noncharacters, which are not.
    return category in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or (category == "Cn" and _noncharacter(ord(char)))


def _noncharacter(code: int) -> bool:
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def quoted(name: str) -> str:
    """Quote user input for an error text: ASCII only, cut to MAX_NAME characters."""
    return ascii(name if len(name) <= MAX_NAME else name[:MAX_NAME] + "...")
