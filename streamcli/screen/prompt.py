"""The prompt: one line to type in, kept at the bottom of the terminal's own scrollback.

Messages are drawn above it in one step of the event loop: erase the prompt, write the lines, draw the prompt again.
prompt_toolkit's own ways of printing beside a prompt cost ten to a hundred times as much (docs/decisions/0004).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, cast

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.data_structures import Point
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI, AnyFormattedText
from prompt_toolkit.history import ThreadedHistory
from prompt_toolkit.key_binding import KeyPressEvent
from prompt_toolkit.layout import ConditionalContainer, HSplit, Layout, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.layout.screen import Screen
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style
from prompt_toolkit.widgets import SearchToolbar

from streamcli.screen import Host
from streamcli.screen.completion import ChatCompleter
from streamcli.screen.history import InputHistory
from streamcli.screen.keys import bind
from streamcli.screen.render import Look

FEW_LINES = 3  # a paste of more asks first
AGAIN_WITHIN = 2.0  # seconds in which a second Ctrl-C leaves
ENTER_DRAWN_AFTER = 0.01  # seconds; see _Application
MENU_ROWS = 8
STYLE = {"status": "fg:ansibrightblack", "question": "bold"}


class PromptScreen:
    """A :class:`streamcli.screen.Screen` on a terminal."""

    def __init__(self, look: Look, host: Host, history_file: Path) -> None:
        """Raises CannotCreate or FileTrouble when the file for typed lines can't be made."""
        self._look, self._host = look, host
        self._loop = asyncio.get_running_loop()
        self._history = InputHistory(history_file, self._not_kept)
        self._lines: list[str] = []
        self._question: list[str] = []
        self._interrupted = -AGAIN_WITHIN
        self._completer = ChatCompleter(host)
        self._output = _output()
        self._buffer = Buffer(
            completer=self._completer,
            complete_while_typing=Condition(lambda: self._buffer.text.startswith("/")),
            history=ThreadedHistory(self._history),
            multiline=False,
        )
        self._app = self._application()
        self._painted: _Painted | None = None

    def draw(self, text: str) -> None:
        """Put lines into the scrollback at the end of this step of the loop."""
        if not self._lines:
            self._loop.call_soon(self._draw_now)
        self._lines.append(text)

    def note(self, text: str) -> None:
        """The program's own words stand among the messages."""
        self.draw(text)

    def refresh(self) -> None:
        """Draw the prompt's surroundings again soon."""
        self._app.invalidate()

    def after_drawing(self, then: Callable[[], None]) -> None:
        """A terminal is quick."""
        then()

    async def run(self) -> None:
        """Read keys until :meth:`close`."""
        await self._app.run_async(handle_sigint=False, set_exception_handler=False)
        self._draw_now()
        self._history.close()

    def close(self, within: float | None = None) -> None:
        """End :meth:`run`."""
        if self._app.is_running and not self._app.is_done:
            self._app.exit()

    def _draw_now(self) -> None:
        if not self._lines or (self._app.is_running and self._app.is_done):
            return  # what comes while the prompt goes is drawn when it is gone
        text = ("\n".join(self._lines) + "\n").replace("\n", "\r\n")
        output, renderer = self._output, self._app.renderer
        self._lines.clear()
        if not self._app.is_running or self._app.is_done:
            output.write_raw(text)
            output.flush()
            return
        around, painted = self._around(), self._painted
        if painted and not self._app.waits and painted.fits(renderer.last_rendered_screen, around):
            # The same prompt as after the last message, which is nearly always so for one who reads: in one write.
            output.cursor_backward(painted.cursor.x)
            output.cursor_up(painted.cursor.y)
            output.erase_down()
            output.write_raw(text + painted.codes)
            output.flush()
            return
        renderer.erase()
        output.write_raw(text)
        output.flush()  # before the prompt is drawn, which takes five times as long as all of this
        self._app.waits = False
        # Not invalidate(): the prompt would be away until a later step of the loop.
        codes = output.written_by(self._app._redraw)
        self._painted = _Painted(renderer.last_rendered_screen, around, renderer._cursor_pos, codes)

    def _around(self) -> tuple[object, ...]:
        """What is drawn beside the typed line; a change of that line itself always leads to a new screen."""
        return self._status(), bool(self._question), [message.id for message in self._host.pending()]

    def _application(self) -> _Application:
        search = SearchToolbar()
        typing = BufferControl(
            self._buffer,
            input_processors=[BeforeInput(self._look.prompt())],
            search_buffer_control=search.control,
            preview_search=True,
        )
        above = Window(FormattedTextControl(self._above), wrap_lines=True, dont_extend_height=True)
        line = Window(typing, wrap_lines=True, dont_extend_height=True)
        status = Window(FormattedTextControl(self._status), height=1, style="class:status")
        # The status line follows the prompt and is not tied to the terminal's last row: that would need to ask the
        # terminal where the cursor is after each message.
        return _Application(
            layout=Layout(
                HSplit(
                    [
                        ConditionalContainer(above, Condition(lambda: bool(self._question or self._host.pending()))),
                        line,
                        search,
                        CompletionsMenu(max_height=MENU_ROWS),
                        status,
                    ]
                ),
                focused_element=line,
            ),
            key_bindings=bind(self, lambda: bool(self._question)),
            output=self._output,
            color_depth=None if self._look.colour else ColorDepth.DEPTH_1_BIT,
            style=Style.from_dict(STYLE if self._look.colour else {}),
            erase_when_done=True,
            enable_page_navigation_bindings=False,
        )

    def _above(self) -> AnyFormattedText:
        if self._question:
            return [("class:question", f"Send these {len(self._question)} lines? y sends them, n doesn't. ")]
        return ANSI("\n".join(self._look.pending(self._host.pending())))

    def _status(self) -> AnyFormattedText:
        if time.monotonic() - self._interrupted < AGAIN_WITHIN:
            return "Ctrl-C again leaves"
        return self._host.status()

    # What the keys do; screen/keys.py says which.

    def enter(self, event: KeyPressEvent) -> None:
        """Hand the line over and clear it. The prompt never ends, so nothing typed ahead is echoed twice."""
        text = self._buffer.text
        self._app.waits = True
        self._loop.call_later(ENTER_DRAWN_AFTER, self._app.go_on)
        self._host.typed(text)  # first of all: the rest has time while the message is on its way
        if text.strip():
            self._buffer.append_to_history()
        self._buffer.reset()

    def complete(self, event: KeyPressEvent) -> None:
        """Complete as far as it is clear, then show the menu, then go through it."""
        if self._buffer.complete_state and self._buffer.complete_state.current_completion:
            self._buffer.complete_next()
            return
        # Asked here and now: the menu is filled beside the typing, and Tab may come before it is.
        document = self._buffer.document
        found = list(self._completer.get_completions(document, CompleteEvent(completion_requested=True)))
        if len(found) == 1:
            self._buffer.apply_completion(found[0])
        elif common := get_common_complete_suffix(document, found):
            self._buffer.insert_text(common)
        elif self._buffer.complete_state:
            self._buffer.complete_next()
        else:
            self._buffer.start_completion()

    def cancel_completion(self, event: KeyPressEvent) -> None:
        """Close the menu."""
        self._buffer.cancel_completion()

    def interrupt(self, event: KeyPressEvent) -> None:
        """Clear the line, or leave when it comes twice."""
        now = time.monotonic()
        if not self._buffer.text and now - self._interrupted < AGAIN_WITHIN:
            self._host.leave(code=130)
        self._buffer.reset()
        self._interrupted = now
        self._loop.call_later(AGAIN_WITHIN, self.refresh)

    def end_of_file(self, event: KeyPressEvent) -> None:
        """Leave, or delete the character under the cursor when there are some."""
        if self._buffer.text:
            self._buffer.delete()
        else:
            self._host.leave(ask=True)

    def suspend(self, event: KeyPressEvent) -> None:
        """Give the terminal back to the shell until ``fg``."""
        event.app.suspend_to_background()

    def clear_screen(self, event: KeyPressEvent) -> None:
        """Begin at the top of the terminal."""
        event.app.renderer.clear()

    def paste(self, event: KeyPressEvent) -> None:
        """Insert one line; send a few; ask before sending many."""
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        if "\n" not in text:
            self._buffer.insert_text(text)
            return
        document = self._buffer.document
        *lines, rest = (document.text_before_cursor + text + document.text_after_cursor).split("\n")
        if rest:
            lines.append(rest)
        lines = [line for line in lines if line.strip()]
        self._buffer.reset()
        if len(lines) > FEW_LINES:
            self._question = lines
        else:
            self._send(lines)

    def answer_yes(self, event: KeyPressEvent) -> None:
        """Send what was pasted."""
        lines, self._question = self._question, []
        self._send(lines)

    def answer_no(self, event: KeyPressEvent) -> None:
        """Drop what was pasted."""
        count, self._question = len(self._question), []
        self._host.note(f"{count} pasted lines were not sent.")

    def _not_kept(self, why: str) -> None:
        self._loop.call_soon_threadsafe(self._host.note, why)

    def _send(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._host.typed(line)


class _Application(Application[None]):
    """Can wait a moment before it draws.

    After Enter the message is on its way to the log and back, and drawing would take the core that it needs. Mostly it
    comes back before the moment is over, and the emptied line is drawn with it, once instead of twice.
    """

    waits = False

    def invalidate(self) -> None:
        """Draw soon, unless it waits."""
        if not self.waits:
            super().invalidate()

    def go_on(self) -> None:
        """Draw what was waited with, if it was not drawn meanwhile."""
        if self.waits:
            self.waits = False
            self.invalidate()


class _Output(Vt100_Output):
    """Can tell what was written."""

    _kept: list[str] | None = None

    def flush(self) -> None:
        """Write what has gathered."""
        if self._kept is not None:
            self._kept += self._buffer
        super().flush()

    def written_by(self, draw: Callable[[], None]) -> str:
        """Call ``draw`` and return what it has written."""
        self._kept = []
        draw()
        kept, self._kept = "".join(self._kept), None
        return kept


class _Painted(NamedTuple):
    """How the prompt was drawn below the last message, so that the same can be written again."""

    screen: Screen | None
    around: tuple[object, ...]
    cursor: Point
    codes: str

    def fits(self, screen: Screen | None, around: tuple[object, ...]) -> bool:
        """Whether ``screen``, which is there now, is this one, and would be if it were drawn now."""
        return screen is not None and screen is self.screen and around == self.around


def _output() -> _Output:
    # Never asks the terminal for the cursor's place: nothing here needs it, and the answer can come as typed keys.
    output = cast(_Output, _Output.from_pty(sys.stdout, term=os.environ.get("TERM")))
    output.enable_cpr = False
    return output
