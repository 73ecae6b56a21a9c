"""Subclasses of prompt_toolkit's application, output and input: delayed drawing, captured output, filtered input."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Point
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout.screen import Screen
from prompt_toolkit.output.vt100 import Vt100_Output

from streamcli.ui.reflow import reflows, rows_more
from streamcli.ui.sequences import SequenceParser


class ChatApplication(Application[None]):
    """A prompt_toolkit application that can delay drawing.

    After Enter, drawing would compete for the CPU with the message's round trip to the log. The message mostly comes
    back within the delay, and then the emptied line and the message are drawn together, once instead of twice.
    """

    waits = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._default_bindings = KeyBindings()  # see streamcli.ui.keys
        # A lone Esc is recognised by the pause after it. The default would swallow keys typed within 1.5 s.
        self.ttimeoutlen, self.timeoutlen = 0.1, 0.01
        self._reflows = reflows(os.environ)

    def _on_resize(self) -> None:
        screen = self.renderer.last_rendered_screen
        if self._reflows and screen:
            cursor, columns = self.renderer._cursor_pos, self.output.get_size().columns
            widths = [_drawn(screen, row) for row in range(cursor.y)]
            self.output.cursor_up(rows_more(widths, cursor.x, columns))
        super()._on_resize()

    def invalidate(self) -> None:
        """Draw soon, unless drawing is delayed."""
        if not self.waits:
            super().invalidate()

    def go_on(self) -> None:
        """End the delay: draw now, unless something else has drawn already."""
        if self.waits:
            self.waits = False
            self.invalidate()


class ChatOutput(Vt100_Output):
    """A terminal output that can capture what it writes."""

    _kept: list[str] | None = None

    def flush(self) -> None:
        """Write the buffer to the terminal."""
        if self._kept is not None:
            self._kept += self._buffer
        super().flush()

    def erase_down(self) -> None:
        """Erase from the cursor, which must be in the first column, to the end of the screen.

        tmux copies the screen to its scrollback if it is erased from the very first cell, so the first row is erased
        separately.
        """
        self.write_raw("\x1b7\x1b[K\x1b[B\r\x1b[J\x1b8")

    def written_by(self, draw: Callable[[], None]) -> str:
        """Call ``draw`` and return what it wrote to the terminal."""
        self._kept = []
        draw()
        kept, self._kept = "".join(self._kept), None
        return kept


class Painted(NamedTuple):
    """The prompt as last drawn, kept so that the same bytes can be written again."""

    screen: Screen | None
    around: tuple[object, ...]
    cursor: Point
    codes: str

    def fits(self, screen: Screen | None, around: tuple[object, ...]) -> bool:
        """Whether ``screen`` is still the one drawn here, and nothing around the line has changed since."""
        return screen is not None and screen is self.screen and around == self.around


def _drawn(screen: Screen, row: int) -> int:
    """The width of a row in cells, without trailing blanks."""
    cells = screen.data_buffer[row]
    return max((x + 1 for x, cell in cells.items() if cell.char.strip()), default=0)


def make_input() -> Input:
    """Open standard input as a source of keys; other escape sequences are dropped."""
    found = create_input()
    if isinstance(found, Vt100Input):
        if codecs.lookup(sys.stdin.encoding).name == "ascii":
            # Even in an ASCII locale, terminals send UTF-8 today.
            found.stdin_reader = PosixStdinReader(found.fileno(), encoding="utf-8")
        found.vt100_parser = SequenceParser(lambda key: found._buffer.append(key))
    return found


def make_output() -> ChatOutput:
    """Open the terminal for output."""
    # Never query the cursor's position: nothing here needs it, and the answer could be taken for typed keys.
    output = cast(ChatOutput, ChatOutput.from_pty(sys.stdout, term=os.environ.get("TERM")))
    output.enable_cpr = False
    return output
