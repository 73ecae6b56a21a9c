"""The prompt: one line to type in, kept at the bottom of the terminal's own scrollback.

Messages are drawn above it in one step of the event loop: erase the prompt, write the lines, draw the prompt again.
prompt_toolkit's own ways of printing beside a prompt cost ten to a hundred times as much (docs/decisions/0004).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI, AnyFormattedText, merge_formatted_text
from prompt_toolkit.input.vt100 import raw_mode
from prompt_toolkit.key_binding import KeyPressEvent
from prompt_toolkit.layout import ConditionalContainer, HSplit, Layout, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.search import SearchDirection, SearchState
from prompt_toolkit.styles import Style
from prompt_toolkit.widgets import SearchToolbar

from streamcli.system.log_file import our_fault
from streamcli.system.signals import allow_a_full_socket, on_signal
from streamcli.ui import ScreenDelegate
from streamcli.ui.application import ChatApplication, Painted, make_input, make_output
from streamcli.ui.completion import ChatCompleter
from streamcli.ui.input_history import InputHistory, LoadedHistory
from streamcli.ui.keys import bind
from streamcli.ui.render import MessageStyle

FEW_LINES = 3  # a paste of more waits until the person says so
AGAIN_WITHIN = 2.0  # seconds in which a second Ctrl-C leaves
ENTER_DRAWN_AFTER = 0.01  # seconds; see ChatApplication
MENU_ROWS = 12
STYLE = {"status": "fg:ansibrightblack", "question": "bold"}

_log = logging.getLogger(__name__)


class PromptScreen:
    """A :class:`streamcli.ui.Screen` on a terminal."""

    def __init__(self, style: MessageStyle, host: ScreenDelegate, history_file: Path) -> None:
        """``history_file`` holds the lines typed earlier; the prompt works without it."""
        self._style, self._host = style, host
        self._loop = asyncio.get_running_loop()
        self._history = InputHistory(history_file, self._not_kept)
        self._lines: list[str] = []
        self._held: list[str] = []  # pasted lines that wait for an answer
        self._suspended = False
        self._interrupted = -AGAIN_WITHIN
        self._completer = ChatCompleter(host)
        self._output, self._input = make_output(), make_input()
        self._buffer = Buffer(
            completer=self._completer,
            complete_while_typing=Condition(lambda: self._buffer.text.startswith("/")),
            history=LoadedHistory(self._history),
            multiline=False,
        )
        self._app = self._application()
        self._painted: Painted | None = None

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
        on_signal(signal.SIGTSTP, self._suspend)
        on_signal(signal.SIGCONT, self._continued)
        self._loop.call_soon(allow_a_full_socket)  # prompt_toolkit adds a handler for resizing first
        try:
            await self._app.run_async(handle_sigint=False, set_exception_handler=False)
        finally:
            self._loop.remove_signal_handler(signal.SIGCONT)
            self._loop.remove_signal_handler(signal.SIGTSTP)
        if self._held:
            self._drop_held()
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
        self._painted = Painted(renderer.last_rendered_screen, around, renderer._cursor_pos, codes)

    def _around(self) -> tuple[object, ...]:
        """What is drawn beside the typed line; a change of that line itself always leads to a new screen."""
        return self._status(), len(self._held), [message.id for message in self._host.pending()]

    def _application(self) -> ChatApplication:
        search = SearchToolbar(backward_search_prompt=self._searching, forward_search_prompt=self._searching)
        self._search = search.search_buffer
        typing = BufferControl(
            self._buffer,
            input_processors=[BeforeInput(self._style.prompt())],
            search_buffer_control=search.control,
            preview_search=True,
        )
        above = Window(FormattedTextControl(self._above), wrap_lines=True, dont_extend_height=True)
        line = Window(typing, wrap_lines=True, dont_extend_height=True)
        # The style is the text's and not the window's: that would fill the row, and each narrower terminal wrap it.
        status = Window(FormattedTextControl(self._status), height=1)
        # The status line follows the prompt and is not tied to the terminal's last row: that would need to ask the
        # terminal where the cursor is after each message.
        return ChatApplication(
            layout=Layout(
                HSplit(
                    [
                        ConditionalContainer(above, Condition(lambda: bool(self._held or self._host.pending()))),
                        line,
                        search,
                        CompletionsMenu(max_height=MENU_ROWS),
                        status,
                    ]
                ),
                focused_element=line,
            ),
            key_bindings=bind(self, self._buffer, lambda: bool(self._held), self._key_failed),
            input=self._input,
            output=self._output,
            color_depth=None if self._style.colour else ColorDepth.DEPTH_1_BIT,
            style=Style.from_dict(STYLE if self._style.colour else {}),
            erase_when_done=True,
            enable_page_navigation_bindings=False,
        )

    def _above(self) -> AnyFormattedText:
        pending = ANSI("\n".join(self._style.pending(self._host.pending())))
        if not self._held:
            return pending
        rest: list[AnyFormattedText] = [[("", "\n")], pending] if self._host.pending() else []
        return merge_formatted_text([[("class:question", self._question())], *rest])

    def _question(self) -> str:
        return f"{len(self._held)} pasted lines wait: Ctrl-Y sends them, Ctrl-C drops them."

    def _status(self) -> AnyFormattedText:
        return [("class:status", self._status_text())]

    def _status_text(self) -> str:
        if not self._buffer.text and time.monotonic() - self._interrupted < AGAIN_WITHIN:
            return "Ctrl-C again leaves"
        return self._host.status()

    def _searching(self) -> str:
        wanted = self._search.text
        found = self._buffer.document_for_search(SearchState(wanted, SearchDirection.BACKWARD)).text
        return "Search: " if wanted in found else "Not found: "

    # What the keys do; screen/keys.py says which.

    def enter(self, event: KeyPressEvent) -> None:
        """Hand the line over and clear it. The prompt never ends, so nothing typed ahead is echoed twice."""
        if self._buffer.complete_state and self._buffer.complete_state.current_completion:
            self._buffer.complete_state = None  # it takes what was chosen in the menu; the next Enter sends
            return
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
            self._buffer.start_completion()
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
        self._clear()
        self._interrupted = now
        self._loop.call_later(AGAIN_WITHIN, self.refresh)

    def end_of_file(self, event: KeyPressEvent) -> None:
        """Leave, or delete the character under the cursor when there are some."""
        if self._buffer.text:
            self._buffer.delete()
        elif self._held:
            self._host.note(self._question())
        else:
            self._host.leave(ask=True)

    def suspend(self, event: KeyPressEvent) -> None:
        """Give the terminal back to the shell until ``fg``."""
        self._suspend()

    def clear_screen(self, event: KeyPressEvent) -> None:
        """Begin at the top of the terminal."""
        event.app.renderer.clear()

    def paste(self, event: KeyPressEvent) -> None:
        """Insert one line; send a few, as text; keep many until the person says whether to send them."""
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        if "\n" not in text:
            self._buffer.insert_text(text)
            return
        lines = [line for line in text.split("\n") if line.strip()]
        if self._held or len(lines) > FEW_LINES:
            self._held += lines
            return
        document = self._buffer.document
        whole = (document.text_before_cursor + text + document.text_after_cursor).split("\n")
        self._host.pasted([line for line in whole if line.strip()])
        self._clear()  # a line of it may have been refused, as too long

    def send_held(self, event: KeyPressEvent) -> None:
        """Send the pasted lines that wait."""
        lines, self._held = self._held, []
        self._host.pasted(lines)

    def drop_held(self, event: KeyPressEvent) -> None:
        """Forget the pasted lines that wait. The line that is being typed stays."""
        self._drop_held()

    def _drop_held(self) -> None:
        count, self._held = len(self._held), []
        self._host.note(f"{count} pasted lines were not sent.")

    def _clear(self) -> None:
        """Empty the line; Up brings it back."""
        if self._buffer.text.strip():
            with self._history.only_here():
                self._buffer.append_to_history()
        self._buffer.reset()

    def _key_failed(self, error: Exception) -> None:
        _log.error("a key failed", exc_info=error)
        self._host.note(f"{our_fault(error)} Your line is kept.")

    def _suspend(self) -> None:
        """From Ctrl-Z and from SIGTSTP: stop only when the terminal is as it was before the prompt."""
        if self._suspended:
            return  # it is on its way
        self._suspended = True

        def stop() -> None:
            self._loop.remove_signal_handler(signal.SIGTSTP)
            os.kill(0, signal.SIGTSTP)
            on_signal(signal.SIGTSTP, self._suspend)

        run_in_terminal(stop)

    def _continued(self) -> None:
        """After SIGCONT. What was suspended in order draws itself; what was stopped by force finds another terminal."""
        if self._suspended:
            self._suspended = False
            return
        try:
            if os.tcgetpgrp(self._input.fileno()) != os.getpgrp():
                return  # it goes on in the background
        except OSError:
            return  # the window was closed meanwhile: reading from it says so as well
        raw_mode(self._input.fileno()).__enter__()  # never left: the mode from before the prompt is kept elsewhere
        self._output.write_raw("\r")
        self._output.erase_down()
        self._app.renderer.reset()  # in which row the cursor is now nobody knows
        self._app._redraw()

    def _not_kept(self, why: str) -> None:
        self._loop.call_soon_threadsafe(self._host.note, why)
