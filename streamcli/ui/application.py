"""The parts of prompt_toolkit that the prompt changes: when it draws, what it remembers of it, what it reads."""

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
    """Can wait a moment before it draws.

    After Enter the message is on its way to the log and back, and drawing would take the core that it needs. Mostly it
    comes back before the moment is over, and the emptied line is drawn with it, once instead of twice.
    """

    waits = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._default_bindings = KeyBindings()  # see streamcli.ui.keys
        # A lone Esc is known by the pause after it. By default that would swallow what is typed within 1.5 s.
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
        """Draw soon, unless it waits."""
        if not self.waits:
            super().invalidate()

    def go_on(self) -> None:
        """Draw what was waited with, if it was not drawn meanwhile."""
        if self.waits:
            self.waits = False
            self.invalidate()


class ChatOutput(Vt100_Output):
    """Can tell what was written."""

    _kept: list[str] | None = None

    def flush(self) -> None:
        """Write what has gathered."""
        if self._kept is not None:
            self._kept += self._buffer
        super().flush()

    def erase_down(self) -> None:
        """Erase from the cursor, which stands in the first column, to the end of the screen.

        tmux keeps a copy in its scrollback of what is erased from the screen's very first cell on, so the first row is
        erased by itself.
        """
        self.write_raw("\x1b7\x1b[K\x1b[B\r\x1b[J\x1b8")

    def written_by(self, draw: Callable[[], None]) -> str:
        """Call ``draw`` and return what it has written."""
        self._kept = []
        draw()
        kept, self._kept = "".join(self._kept), None
        return kept


class Painted(NamedTuple):
    """How the prompt was drawn below the last message, so that the same can be written again."""

    screen: Screen | None
    around: tuple[object, ...]
    cursor: Point
    codes: str

    def fits(self, screen: Screen | None, around: tuple[object, ...]) -> bool:
        """Whether ``screen``, which is there now, is this one, and would be if it were drawn now."""
        return screen is not None and screen is self.screen and around == self.around


def _drawn(screen: Screen, row: int) -> int:
    """How many cells of a row hold more than nothing."""
    cells = screen.data_buffer[row]
    return max((x + 1 for x, cell in cells.items() if cell.char.strip()), default=0)


def make_input() -> Input:
    """Standard input, of which only keys are taken."""
    found = create_input()
    if isinstance(found, Vt100Input):
        if codecs.lookup(sys.stdin.encoding).name == "ascii":
            # A locale that knows no letters beyond A to Z says nothing about the terminal, which sends UTF-8 today.
            found.stdin_reader = PosixStdinReader(found.fileno(), encoding="utf-8")
        found.vt100_parser = SequenceParser(lambda key: found._buffer.append(key))
    return found


def make_output() -> ChatOutput:
    """The terminal."""
    # Never asks the terminal for the cursor's place: nothing here needs it, and the answer can come as typed keys.
    output = cast(ChatOutput, ChatOutput.from_pty(sys.stdout, term=os.environ.get("TERM")))
    output.enable_cpr = False
    return output
