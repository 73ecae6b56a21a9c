"""Names that look the same although they differ. Pure.

The letters are those of Greek, Cyrillic and a few other scripts that most fonts draw like a Latin letter: the ones that
a name can be built of, out of all that Unicode Technical Standard 39 lists.
"""

from __future__ import annotations

import re
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
# Joiners and what selects a variant of the letter before: they draw nothing.
_DRAWS_NOTHING: Final = re.compile("[\u034f\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def look_alike(one: str, other: str) -> bool:
    """Whether two names look the same: case, width, blanks, what draws nothing, and script don't count."""
    return any(_drawn(case(one)) == _drawn(case(other)) for case in (str, str.casefold))


def _drawn(name: str) -> str:
    plain = unicodedata.normalize("NFKC", _DRAWS_NOTHING.sub("", name))
    latin = plain.translate(_DRAWN_AS).casefold().translate(_DRAWN_AS)  # not every capital is in the table
    return "".join(latin.replace("rn", "m").replace("vv", "w").split())
