"""Names that look the same although they differ. Pure.

The letters are those of Greek, Cyrillic and a few other scripts that most fonts draw like a Latin letter: the ones that
a name can be built of, out of all that Unicode Technical Standard 39 lists.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_LIKE_LATIN: Final = {
    "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "H": "НΗ", "J": "Ј", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "ОΟ0",
    "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ", "Y": "ΥҮ", "Z": "Ζ",
    "a": "аɑα", "c": "с", "d": "ԁ", "e": "е", "g": "ɡ", "h": "һհ", "i": "іι", "j": "ј", "k": "кκ", "l": "I1|ІΙӀӏ",
    "m": "м", "n": "ո", "o": "оοօ", "p": "рρ", "q": "ԛ", "r": "г", "s": "ѕ", "t": "т", "u": "υս", "v": "νѵ",
    "w": "ԝ", "x": "хχ", "y": "уγү",
}  # fmt: skip
_DRAWN_AS: Final = {ord(letter): latin for latin, letters in _LIKE_LATIN.items() for letter in letters}


def look_alike(one: str, other: str) -> bool:
    """Whether two names look the same: case, width, blanks and script don't count."""
    return _folded(one) == _folded(other) or _drawn(one) == _drawn(other)


def _folded(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _drawn(name: str) -> str:
    latin = unicodedata.normalize("NFKC", name).translate(_DRAWN_AS).casefold()
    return "".join(latin.replace("rn", "m").replace("vv", "w").split())
