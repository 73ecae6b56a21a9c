"""Key bindings of the prompt: one table, from which the docs are generated.

prompt_toolkit's own bindings are not loaded: some of them accept the line without our Enter handler, start a search
from Ctrl-S, record macros or open an editor. A key that is not in the tables below does nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from prompt_toolkit import search
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, Filter, has_completions, has_focus, is_searching
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name
from prompt_toolkit.keys import Keys

Handler = Callable[[KeyPressEvent], object]


@dataclass(frozen=True)
class Binding:
    """One row of the table: the keys (prompt_toolkit's names), how the docs write them, and what they do.

    ``action`` names a method of the screen, called only while the line has the focus unless ``anywhere`` is true.
    """

    keys: tuple[str, ...]
    shown: str
    help: str
    action: str
    anywhere: bool = False


BINDINGS: Final = (
    Binding(("enter", "c-j"), "Enter", "send the line", "enter"),
    Binding(("tab",), "Tab", "complete a command or a name; in the menu Enter accepts, Esc closes", "complete"),
    Binding(("c-c",), "Ctrl-C", "clear the line (Up brings it back); twice: leave", "interrupt"),
    Binding(("c-d",), "Ctrl-D", "on an empty line: leave", "end_of_file"),
    Binding(("c-z",), "Ctrl-Z", "suspend; `fg` resumes", "suspend", anywhere=True),
    Binding(("c-l",), "Ctrl-L", "clear the screen", "clear_screen", anywhere=True),
)
HELD: Final = Binding(("c-y",), "Ctrl-Y", "after a paste of many lines: send them; Ctrl-C drops them", "send_held")


@dataclass(frozen=True)
class Editing:
    """Keys that work as in a shell. ``commands`` maps key sequences, separated by blanks, to readline commands."""

    shown: str
    help: str
    commands: dict[str, str]


EDITING: Final = (
    Editing("Ctrl-A, Ctrl-E, Home, End", "move to the start or the end of the line", {
        "c-a": "beginning-of-line", "home": "beginning-of-line", "c-e": "end-of-line", "end": "end-of-line",
    }),
    Editing("Left, Right, Ctrl-B, Ctrl-F", "move by a character; with Ctrl, or Alt-B and Alt-F, by a word", {
        "left": "backward-char", "c-b": "backward-char", "right": "forward-char", "c-f": "forward-char",
        "c-left": "backward-word", "escape b": "backward-word", "escape left": "backward-word",
        "c-right": "forward-word", "escape f": "forward-word", "escape right": "forward-word",
    }),
    Editing("Ctrl-W, Ctrl-U, Ctrl-K, Alt-D", "cut the word before, all before, all after, the word after the cursor", {
        "c-w": "unix-word-rubout", "escape backspace": "backward-kill-word", "c-u": "unix-line-discard",
        "c-k": "kill-line", "escape d": "kill-word", "c-delete": "kill-word",
    }),
    Editing("Ctrl-Y", "paste what was cut", {"c-y": "yank"}),
    Editing("Ctrl-_", "undo", {"c-_": "undo"}),
    Editing("Ctrl-T", "swap two characters", {"c-t": "transpose-chars"}),
    Editing("Backspace, Delete", "delete a character", {"backspace": "backward-delete-char", "delete": "delete-char"}),
)  # fmt: skip
OLDER: Final = ("Up, Down, Ctrl-P, Ctrl-N", "earlier and later lines of the input history, from earlier days too")
SEARCH: Final = ("Ctrl-R", "search the input history: Enter takes the line found, Ctrl-C, Ctrl-G or Esc cancels")


def bind(actions: Any, line: Buffer, holding: Callable[[], bool], failed: Callable[[Exception], None]) -> KeyBindings:
    """Bind the keys of the tables to methods of ``actions``; ``line`` is the input buffer.

    ``holding()`` is true while pasted lines wait for Ctrl-Y or Ctrl-C. ``failed`` gets any exception of a handler.
    """
    bindings = KeyBindings()
    in_line, is_holding = has_focus(line), Condition(holding)

    def add(keys: str, action: Handler, filter: Filter | bool = True, eager: bool = False) -> None:
        def handler(event: KeyPressEvent) -> None:
            try:
                action(event)
            except Exception as error:
                failed(error)

        bindings.add(*keys.split(), filter=filter, eager=eager)(handler)

    # The last matching binding wins, so special cases come last.
    add(Keys.Any, _insert)
    add(f"escape {Keys.Any.value}", _nothing)
    add("escape", _nothing)
    for row in EDITING:
        for keys, name in row.commands.items():
            add(keys, get_by_name(name).handler)
    for older, newer in (("up", "down"), ("c-p", "c-n")):
        add(older, lambda event: event.current_buffer.auto_up(), in_line)
        add(newer, lambda event: event.current_buffer.auto_down(), in_line)
    for own in BINDINGS:
        for key in own.keys:
            add(key, getattr(actions, own.action), own.anywhere or in_line, eager=key == "enter")
    add(Keys.BracketedPaste.value, actions.paste, in_line)
    add("s-tab", lambda event: event.current_buffer.complete_previous(), in_line)
    add(f"escape {Keys.BracketedPaste.value}", actions.paste, in_line)
    add("escape", actions.cancel_completion, has_completions & in_line)
    add(HELD.keys[0], getattr(actions, HELD.action), is_holding & in_line)
    add("c-c", actions.drop_held, is_holding & in_line)
    _bind_search(add, line, in_line)
    return bindings


def _bind_search(add: Callable[..., None], line: Buffer, in_line: Filter) -> None:
    # Where the search began: the line's index, counted from the newest, and the cursor's position in it.
    place = (0, 0)

    def begin(event: KeyPressEvent) -> None:
        nonlocal place
        place = (len(line._working_lines) - line.working_index, line.cursor_position)
        search.start_search(direction=search.SearchDirection.BACKWARD)

    def cancel(event: KeyPressEvent) -> None:
        search.stop_search()
        line.working_index, line.cursor_position = len(line._working_lines) - place[0], place[1]

    def older(event: KeyPressEvent) -> None:
        search.do_incremental_search(search.SearchDirection.BACKWARD)

    def newer(event: KeyPressEvent) -> None:
        search.do_incremental_search(search.SearchDirection.FORWARD)

    def paste(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(event.data.strip().partition("\n")[0].partition("\r")[0])

    add("c-r", begin, in_line)
    for key in ("c-r", "up"):
        add(key, older, is_searching)
    add("down", newer, is_searching)
    for key in ("enter", "c-j"):
        add(key, lambda event: search.accept_search(), is_searching)
    for key in ("c-c", "c-g"):
        add(key, cancel, is_searching)
    add("escape", cancel, is_searching)
    for keys in (Keys.BracketedPaste.value, f"escape {Keys.BracketedPaste.value}"):
        add(keys, paste, is_searching)


def _insert(event: KeyPressEvent) -> None:
    # For a key that is not a character, data are the control characters that the terminal sent. isprintable() would be
    # wrong: it is false for the ideographic space, the no-break space, the joiners of Persian and of emoji.
    if not any(unicodedata.category(char) in ("Cc", "Cs") for char in event.data):
        event.current_buffer.insert_text(event.data)


def _nothing(event: KeyPressEvent) -> None:
    pass


def markdown_table() -> str:
    """Return the keys as a Markdown table, for the docs."""
    rows = [("Key", "does"), ("---", "---"), *((row.shown, row.help) for row in (*BINDINGS, HELD)), OLDER, SEARCH]
    return "".join(f"| {left} | {right} |\n" for left, right in [*rows, *((row.shown, row.help) for row in EDITING)])
