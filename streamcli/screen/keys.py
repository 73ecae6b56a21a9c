"""Key bindings of the prompt, as one table that the docs are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.key_binding import KeyBindings


@dataclass(frozen=True)
class Binding:
    """One row of the table: the keys (as prompt_toolkit names them), how they are written, and what they do."""

    keys: tuple[str, ...]
    shown: str
    help: str
    action: str


BINDINGS = (
    Binding(("enter", "c-j"), "Enter", "send the line", "enter"),
    Binding(("tab",), "Tab", "complete a command or a name", "complete"),
    Binding(("c-c",), "Ctrl-C", "clear the line; twice: leave", "interrupt"),
    Binding(("c-d",), "Ctrl-D", "on an empty line: leave", "end_of_file"),
    Binding(("c-z",), "Ctrl-Z", "suspend; `fg` comes back", "suspend"),
    Binding(("c-l",), "Ctrl-L", "clear the screen", "clear_screen"),
)
# Inherited from prompt_toolkit's Emacs mode, named for the docs only.
INHERITED = (
    ("Up, Down", "earlier and later lines, from other days too"),
    ("Ctrl-R", "search in them"),
    ("Ctrl-A, Ctrl-E, Ctrl-W, Ctrl-U, Ctrl-K, Ctrl-Y", "edit as in a shell"),
)


def bind(actions: Any, asking: Callable[[], bool]) -> KeyBindings:
    """Bind the table's keys to the methods of ``actions`` that it names; while ``asking``, only answers count."""
    bindings = KeyBindings()
    is_asking = Condition(asking)
    for row in BINDINGS:
        for key in row.keys:
            bindings.add(key, filter=~is_asking, eager=key == "enter")(getattr(actions, row.action))
    bindings.add("<bracketed-paste>", filter=~is_asking)(actions.paste)
    bindings.add("escape", filter=has_completions & ~is_asking, eager=True)(actions.cancel_completion)
    for key in ("y", "Y"):
        bindings.add(key, filter=is_asking, eager=True)(actions.answer_yes)
    for key in ("n", "N", "enter", "c-j", "c-c", "c-d", "escape"):
        bindings.add(key, filter=is_asking, eager=True)(actions.answer_no)
    bindings.add("<any>", filter=is_asking, eager=True)(lambda event: None)
    bindings.add("<bracketed-paste>", filter=is_asking, eager=True)(lambda event: None)
    return bindings


def markdown_table() -> str:
    """The table for the docs."""
    rows = [("Key", "does"), ("---", "---"), *((row.shown, row.help) for row in BINDINGS), *INHERITED]
    return "".join(f"| {left} | {right} |\n" for left, right in rows)
