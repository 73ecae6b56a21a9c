"""The prompt: one input line, kept below the terminal's own scrollback.

Messages are drawn above it in one step of the event loop: erase the prompt, write the lines, draw the prompt again.
prompt_toolkit's own ways to print above a prompt cost 10 to 100 times as much (docs/decisions/0004).
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
from prompt_toolkit.utils import get_cwidth
from prompt_toolkit.widgets import SearchToolbar

from streamcli.system.log_file import our_fault
from streamcli.system.signals import allow_a_full_socket, on_signal
from streamcli.ui import ScreenDelegate
from streamcli.ui.application import ChatApplication, Painted, make_input, make_output
from streamcli.ui.completion import ChatCompleter
from streamcli.ui.input_history import InputHistory, LoadedHistory
from streamcli.ui.keys import bind
from streamcli.ui.render import MessageStyle

FEW_LINES = 3  # a longer paste waits for Ctrl-Y
AGAIN_WITHIN = 2.0  # seconds within which a second Ctrl-C leaves
ENTER_DRAWN_AFTER = 0.01  # seconds; see ChatApplication
MENU_ROWS = 14
STYLE = {"status": "fg:ansibrightblack", "question": "bold"}

_log = logging.getLogger(__name__)


class PromptScreen:
    """A :class:`streamcli.ui.Screen` on a terminal."""

    def __init__(
        self,
        style: MessageStyle,
        host: ScreenDelegate,
        history_file: Path,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``history_file`` holds the lines typed earlier; the prompt works if it can't be used."""
        self._style, self._host, self._now = style, host, now
        self._loop = asyncio.get_running_loop()
        self._history = InputHistory(history_file, self._not_kept)
        self._lines: list[str] = []
        self._held: list[str] = []  # pasted lines that wait for Ctrl-Y or Ctrl-C
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
        """Add lines to the scrollback; drawn at the end of this loop step."""
        if not self._lines:
            self._loop.call_soon(self._draw_now)
        self._lines.append(text)

    def note(self, text: str) -> None:
        """Draw a notice among the messages."""
        self.draw(text)

    def refresh(self) -> None:
        """Draw the prompt, its status line and the pending messages again soon."""
        self._app.invalidate()

    def after_drawing(self, then: Callable[[], None]) -> None:
        """Call ``then`` at once: a terminal needs no backpressure."""
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
            return  # the prompt is closing: run() draws these lines when it is gone
        text = ("\n".join(self._lines) + "\n").replace("\n", "\r\n")
        output, renderer = self._output, self._app.renderer
        self._lines.clear()
        if not self._app.is_running or self._app.is_done:
            output.write_raw(text)
            output.flush()
            return
        around, painted = self._around(), self._painted
        if painted and not self._app.waits and painted.fits(renderer.last_rendered_screen, around):
            # The prompt has not changed since the last message, as is usual while nobody types: use one write.
            output.cursor_backward(painted.cursor.x)
            output.cursor_up(painted.cursor.y)
            output.erase_down()
            output.write_raw(text + painted.codes)
            output.flush()
            return
        renderer.erase()
        output.write_raw(text)
        output.flush()  # show the lines before the prompt, which takes five times as long to draw
        self._app.waits = False
        # Not invalidate(): the prompt would be missing until a later step of the loop.
        codes = output.written_by(self._app._redraw)
        self._painted = Painted(renderer.last_rendered_screen, around, renderer._cursor_pos, codes)

    def _around(self) -> tuple[object, ...]:
        """Everything drawn besides the input line; a change of that line always leads to a new Screen object."""
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
        # Style the text, not the window: a styled window fills the row, which then wraps when the terminal narrows.
        status = Window(FormattedTextControl(self._status), height=1)
        # The status line follows the prompt and is not fixed to the terminal's last row: that would require querying
        # the cursor's position after each message.
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
        return f"{len(self._held)} pasted lines are waiting: Ctrl-Y sends them, Ctrl-C drops them."

    def _status(self) -> AnyFormattedText:
        return [("class:status", self._status_text())]

    def _status_text(self) -> str:
        if not self._buffer.text and self._now() - self._interrupted < AGAIN_WITHIN:
            return "Ctrl-C again leaves"
        return shortened(self._host.status(), self._output.get_size().columns)

    def _searching(self) -> str:
        wanted = self._search.text
        found = self._buffer.document_for_search(SearchState(wanted, SearchDirection.BACKWARD)).text
        return "Search: " if wanted in found else "Not found: "

    # The actions of the keys; the table is in ui/keys.py.

    def enter(self, event: KeyPressEvent) -> None:
        """Send the line and clear it. The prompt never ends, so nothing typed ahead is echoed twice."""
        if self._buffer.complete_state and self._buffer.complete_state.current_completion:
            self._buffer.complete_state = None  # accept the completion; the next Enter sends
            return
        text = self._buffer.text
        self._app.waits = True
        self._loop.call_later(ENTER_DRAWN_AFTER, self._app.go_on)
        self._host.typed(text)  # first: everything else can happen while the message is on its way
        if text.strip():
            self._buffer.append_to_history()
        self._buffer.reset()

    def complete(self, event: KeyPressEvent) -> None:
        """Insert the common prefix of all completions, or open the menu, or select its next entry."""
        if self._buffer.complete_state and self._buffer.complete_state.current_completion:
            self._buffer.complete_next()
            return
        # Computed here: the menu is filled asynchronously, and Tab may come before that.
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
        """Close the completion menu."""
        self._buffer.cancel_completion()

    def interrupt(self, event: KeyPressEvent) -> None:
        """Clear the line; the second time within AGAIN_WITHIN, leave."""
        now = self._now()
        if not self._buffer.text and now - self._interrupted < AGAIN_WITHIN:
            self._host.leave(code=130)
        self._clear()
        self._interrupted = now
        self._loop.call_later(AGAIN_WITHIN, self.refresh)

    def end_of_file(self, event: KeyPressEvent) -> None:
        """Leave or, if the line is not empty, delete the character under the cursor."""
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
        """Clear the terminal and draw the prompt at its top."""
        event.app.renderer.clear()

    def paste(self, event: KeyPressEvent) -> None:
        """Insert a single line; send up to FEW_LINES as text; hold more until Ctrl-Y or Ctrl-C."""
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
        self._clear()  # keeps the line for Up: it may have been refused as too long

    def send_held(self, event: KeyPressEvent) -> None:
        """Send the held pasted lines."""
        lines, self._held = self._held, []
        self._host.pasted(lines)

    def drop_held(self, event: KeyPressEvent) -> None:
        """Drop the held pasted lines. The input line stays."""
        self._drop_held()

    def _drop_held(self) -> None:
        count, self._held = len(self._held), []
        self._host.note(f"{count} pasted lines were not sent.")

    def _clear(self) -> None:
        """Clear the line, so that Up brings it back."""
        if self._buffer.text.strip():
            with self._history.only_here():
                self._buffer.append_to_history()
        self._buffer.reset()

    def _key_failed(self, error: Exception) -> None:
        _log.error("a key failed", exc_info=error)
        self._host.note(f"{our_fault(error)} Your line is kept.")

    def _suspend(self) -> None:
        """Handle Ctrl-Z and SIGTSTP: restore the terminal, then stop."""
        if self._suspended:
            return  # already stopping
        self._suspended = True

        def stop() -> None:
            self._loop.remove_signal_handler(signal.SIGTSTP)
            os.kill(0, signal.SIGTSTP)
            on_signal(signal.SIGTSTP, self._suspend)

        run_in_terminal(stop)

    def _continued(self) -> None:
        """Handle SIGCONT. After SIGSTOP (not :meth:`_suspend`) the terminal's mode and contents must be restored."""
        if self._suspended:
            self._suspended = False
            return
        try:
            if os.tcgetpgrp(self._input.fileno()) != os.getpgrp():
                return  # continued in the background
        except OSError:
            return  # the terminal is gone; reading from it reports that
        raw_mode(self._input.fileno()).__enter__()  # never exited: the original mode is saved elsewhere
        self._output.write_raw("\r")
        self._output.erase_down()
        self._app.renderer.reset()  # the cursor's row is unknown
        self._app._redraw()

    def _not_kept(self, why: str) -> None:
        self._loop.call_soon_threadsafe(self._host.note, why)


def shortened(text: str, columns: int) -> str:
    """Return ``text`` if it fits in so many cells of a terminal, else its beginning with an ellipsis."""
    if get_cwidth(text) <= columns:
        return text
    left, kept = columns - 1, 0
    for char in text:
        left -= get_cwidth(char)
        if left < 0:
            break
        kept += 1
    return text[:kept].rstrip() + "…"
