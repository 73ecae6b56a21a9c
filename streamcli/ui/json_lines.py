"""A message as one line of JSON, for programs, that a terminal can't obey either."""

from __future__ import annotations

import contextlib
import re

from streamcli.model.message import CUT_CHARACTERS, Message, TooLong, encode
from streamcli.model.unknown_fields import NONE

# What a terminal might obey or a person not see; JSON can say it in another way.
_ESCAPED = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")


def wire_line(message: Message) -> str:
    """The message in the wire format, with what this version does not know of it.

    What is too long for an event in our words loses text first, and then what is not known.
    """
    for shorter in ({}, {"message": message.message[:CUT_CHARACTERS]}):
        message = message.model_copy(update=shorter)
        with contextlib.suppress(TooLong):
            return _harmless(encode(message).decode())
    return _harmless(encode(message.model_copy(update={"unknown": NONE})).decode())


def _harmless(text: str) -> str:
    return text if text.isascii() else _ESCAPED.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
