"""Filters escape sequences on standard input: keys pass, all other sequences are dropped whole.

A terminal sends more than keys: focus events, replies to earlier queries (colours, device attributes, cursor
position), mouse reports. prompt_toolkit treats an unknown sequence as single keys, so its letters would end up in the
line and be sent. The grammar is that of ECMA-48: CSI (``ESC [``), SS3 (``ESC O``), and strings (OSC, DCS, APC) that
end with ST (``ESC \\``) or BEL.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding.key_processor import KeyPress

LONGEST: Final = 4096  # characters of a string; no terminal sends a longer reply
UNFINISHED: Final = 1.0  # seconds of silence after which an incomplete reply or paste is given up
PASTE_END: Final = "\x1b[201~"
_CSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*([@-~])?\Z")
_LINUX_F_KEY: Final = "\x1b[["  # the Linux console's F1 to F5: ESC [ [ A
_X10_MOUSE: Final = re.compile(r"\x1b\[M.{0,3}\Z", re.DOTALL)
# Alt with one of these letters sends the same two characters, but is never followed by the rest of the pattern.
_STRING: Final = re.compile(r"\x1b(\](\d.*)?|P([\d$+>!|=].*)?|_(G.*)?)\Z", re.DOTALL)
_STRING_END: Final = ("\x07", "\x1b\\")


class SequenceParser(Vt100Parser):
    """prompt_toolkit's parser, fed with known sequences only. Accepts input in pieces of any size."""

    def __init__(
        self, feed_key_callback: Callable[[KeyPress], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        """``now`` returns seconds."""
        self._held = ""  # an incomplete sequence, from its ESC on
        self._now, self._fed = now, now()
        super().__init__(feed_key_callback)

    def feed(self, data: str) -> None:
        """Parse ``data`` and call the callback for each key in it."""
        now = self._now()
        if data and now - self._fed > UNFINISHED:
            self._held = ""
            if self._in_bracketed_paste and len(data) == 1:  # a key press, not the rest of the paste
                super().feed(PASTE_END)
        self._fed = now
        for at, char in enumerate(data):
            if self._in_bracketed_paste:
                super().feed(data[at:])  # it calls this method again for what follows the paste
                return
            self._take(char)

    def flush(self) -> None:
        """Called after a pause: a lone ESC was the key, but an incomplete reply may still continue."""
        if self._held in ("\x1b", "\x1b[", "\x1bO") or (len(self._held) == 2 and _STRING.match(self._held)):
            self._pass_on()
        super().flush()

    def _take(self, char: str) -> None:
        if not self._held:
            if char == "\x1b":
                self._held = char
            else:
                super().feed(char)
            return
        held = self._held + char
        if _STRING.match(held) and char not in "\r\n\x03" and len(held) < LONGEST:
            self._held = "" if held.endswith(_STRING_END) else held
        elif len(held) == 2 and char not in "[O":
            self._take_after_escape(char)
        elif held.startswith("\x1bO") and len(held) == 2:
            self._held = held
        elif held.startswith("\x1bO"):
            self._end(held)
        elif _X10_MOUSE.match(held):
            self._held = "" if len(held) == 6 else held
        elif found := _CSI.match(held):
            self._held = held
            if found[1] and held != _LINUX_F_KEY and held != "\x1b[M":
                self._end(held)
        elif held.startswith(_LINUX_F_KEY):
            self._end(held)
        else:
            if len(self._held) > 2:
                self._held = ""  # malformed; what was held is not a key either
            self._pass_on()
            self._take(char)

    def _take_after_escape(self, char: str) -> None:
        if char == "\x1b":
            self._pass_on()
            self._held = char
        else:
            self._held += char  # Alt with a key
            self._pass_on()

    def _end(self, sequence: str) -> None:
        self._held = sequence if sequence in ANSI_SEQUENCES else ""
        self._pass_on()

    def _pass_on(self) -> None:
        sequence, self._held = self._held, ""
        if sequence:
            super().feed(sequence)
