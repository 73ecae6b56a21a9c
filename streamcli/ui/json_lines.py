"""One message as one JSON line for programs, with control characters escaped."""

from __future__ import annotations

import contextlib
import re

from streamcli.model.message import CUT_CHARACTERS, Message, TooLong, encode
from streamcli.model.unknown_fields import NONE

# Characters that control a terminal or are invisible; JSON can escape them.
_ESCAPED = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")


def wire_line(message: Message) -> str:
    """Return ``message`` in the wire format, unknown fields included.

    If that exceeds the size of an event, the text is cut first, and then the unknown fields are dropped.
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
