"""Names people and the server agree on: users, rooms, scopes, streams and reader groups."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from streamcli.errors import UsageError
from streamcli.model.address import DEFAULT_STREAM

MAX_NAME: Final = 64
"""Longest name of a user or room, in characters."""

MAX_SERVER_NAME: Final = 100
"""Longest name of a scope or stream we take: it becomes part of a group's name, which has a limit of its own."""

MAX_ENCODED_USER: Final = 180
"""Longest user in a group's name, so that slot and stream still fit into ``MAX_GROUP``."""

MAX_GROUP: Final = 255
"""Pravega's limit for the name of a reader group."""

MAX_SLOT: Final = 19
"""Longest slot that is used, with what marks the second group of a slot."""

_JOINERS = "\u200c\u200d"
# Letters by category that draw nothing: with them two different names look the same.
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
            "The id is too long for the server: accented letters and emoji count several times, shorten it."
        )
    return name


def valid_room(name: str) -> str:
    """Return ``name`` as it is used (trimmed, NFC), or raise UsageError with a sentence saying what is wrong."""
    name = _tidy(name, "room")
    if any(char.isspace() for char in name):
        raise UsageError("The room must be one word, without blanks.")
    return name


def valid_scope_or_stream(name: str, what: str) -> str:
    """Return ``name`` unchanged if the server takes it as the name of a ``what`` ("scope" or "stream")."""
    if not _SERVER_NAME.fullmatch(name):
        raise UsageError(
            f"The {what} {quoted(name)} is no name the server takes: "
            f"use 1 to {MAX_SERVER_NAME} letters (a to z), digits, '.' and '-'."
        )
    return name


def reader_group(user: str, slot: str, stream: str = DEFAULT_STREAM) -> str:
    """Name the group in which ``user`` reads ``stream`` from one terminal, ``slot`` (letters, digits and '.').

    It begins with the user and a '-', because access rules are patterns such as ``alice-*``. A '-' or '.' inside
    the user is escaped, so ``tim-*`` never covers the user ``tim-x``. The scope is left out: groups live in one.
    """
    if not _SLOT.fullmatch(slot):
        raise ValueError(f"not a slot: {slot!r}")
    group = f"{_encoded(user)}-{slot}" + ("" if stream == DEFAULT_STREAM else f"-{stream}")
    if len(group) > MAX_GROUP:
        raise UsageError("The id and the name of the stream are too long together for the server: shorten one of them.")
    return group


def check_group(user: str, stream: str) -> None:
    """Raise UsageError if ``user`` can't have a reader group on ``stream``, before anything is started."""
    reader_group(user, "x" * MAX_SLOT, stream)


def user_of_group(group: str) -> str:
    """Return the user a group belongs to; ValueError if ``group`` was not named by :func:`reader_group`."""
    encoded, dash, _ = group.partition("-")
    user = _decoded(encoded)
    if not dash or not user or _encoded(user) != encoded:
        raise ValueError(f"not a reader group of ours: {group!r}")
    return user


def _encoded(user: str) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f".{byte:02x}" for byte in user.encode())


def _decoded(encoded: str) -> str:
    # Whatever is left out by findall here shows when the caller encodes the result again.
    pairs = _ESCAPED.findall(encoded)
    return b"".join(bytes.fromhex(code) if code else char.encode() for code, char in pairs).decode()


def _tidy(name: str, what: str) -> str:
    name = unicodedata.normalize("NFC", name.strip())
    if not name:
        raise UsageError(f"The {what} is empty: give it at least one letter.")
    if len(name) > MAX_NAME:
        raise UsageError(f"The {what} is too long: {len(name)} characters, at most {MAX_NAME} are possible.")
    for before, char in zip(" " + name, name, strict=False):
        if _hidden(before, char):
            raise UsageError(
                f"The {what} {quoted(name)} holds a character nobody can see, U+{ord(char):04X}: leave it out."
            )
    if not any(unicodedata.category(char)[0] in "LNPSC" for char in name):
        raise UsageError(f"The {what} {quoted(name)} holds nothing to see: give it at least one letter.")
    return name


def _hidden(before: str, char: str) -> bool:
    """Tell whether ``char`` draws nothing of its own, so that two names could look the same.

    Joiners are needed inside emoji and some scripts; between plain letters they would only make a double of a name.
    """
    if char in _JOINERS:
        return before in _JOINERS or before.isascii()
    if char in _BLANK_LETTERS:
        return True
    category = unicodedata.category(char)
    # A character newer than this Python is "Cn" like a noncharacter; only the latter will never be anything.
    return category in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or (category == "Cn" and _noncharacter(ord(char)))


def _noncharacter(code: int) -> bool:
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def quoted(name: str) -> str:
    """Quote what somebody typed, in ASCII and not at any length."""
    return ascii(name if len(name) <= MAX_NAME else name[:MAX_NAME] + "...")
