"""How many rows a drawing takes after the terminal was made narrower: docs/decisions/0012."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

# What terminals that break long rows anew are known by in the environment. xterm, GNU screen and the Linux console cut.
_REFLOWING: Final = (
    "VTE_VERSION",
    "KITTY_WINDOW_ID",
    "WEZTERM_PANE",
    "ALACRITTY_WINDOW_ID",
    "KONSOLE_VERSION",
    "WT_SESSION",
    "GHOSTTY_RESOURCES_DIR",
)
_PROGRAMS: Final = ("Apple_Terminal", "iTerm.app", "WezTerm", "ghostty", "vscode")


def reflows(environment: Mapping[str, str]) -> bool:
    """Whether the terminal breaks rows anew that no longer fit. False where it can't be known."""
    if environment.get("STY"):
        return False  # GNU screen, which hands down the variables of the terminal that it was started in
    if environment.get("TMUX"):
        return environment.get("TERM", "").startswith(("tmux", "screen"))  # else perhaps an xterm started from a tmux
    if environment.get("XTERM_VERSION"):
        return False
    return any(environment.get(name) for name in _REFLOWING) or environment.get("TERM_PROGRAM") in _PROGRAMS


def rows_more(widths: Sequence[int], column: int, columns: int) -> int:
    """By how many rows the cursor has moved away from the drawing's first row.

    ``widths`` are the cells that were drawn in each row above the cursor's, ``column`` is the cursor's, and
    ``columns`` how wide the terminal is now.
    """
    return sum(max(0, -(-width // columns) - 1) for width in widths) + column // columns
