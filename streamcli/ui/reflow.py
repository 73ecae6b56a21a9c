"""How many rows the prompt takes after the terminal became narrower: docs/decisions/0012."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

# Environment variables of terminals that rewrap long rows when resized. xterm, GNU screen and the Linux console cut.
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
    """Whether the terminal rewraps rows that no longer fit. False if unknown."""
    if environment.get("STY"):
        return False  # GNU screen, which inherits the variables of the terminal it was started in
    if environment.get("TMUX"):
        return environment.get("TERM", "").startswith(("tmux", "screen"))  # else perhaps an xterm started from tmux
    if environment.get("XTERM_VERSION"):
        return False
    return any(environment.get(name) for name in _REFLOWING) or environment.get("TERM_PROGRAM") in _PROGRAMS


def rows_more(widths: Sequence[int], column: int, columns: int) -> int:
    """Return how many rows further down the cursor is from the first row drawn, after rewrapping.

    ``widths`` are the widths in cells of the rows above the cursor, ``column`` is the cursor's column, and ``columns``
    the terminal's new width.
    """
    return sum(max(0, -(-width // columns) - 1) for width in widths) + column // columns
