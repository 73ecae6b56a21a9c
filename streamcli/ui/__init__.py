"""The user interface: a prompt below the terminal's own scrollback, or plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from streamcli.model.message import Message


class ScreenDelegate(Protocol):
    """What a screen shows beside the scrollback, and callbacks for input. Called in the event loop's thread only."""

    def status(self) -> str:
        """The bottom line: pending count and connection, the most important first, as it is cut at the end."""

    def pending(self) -> Sequence[Message]:
        """Messages shown above the prompt until they are read back, oldest first."""

    def people(self) -> Sequence[str]:
        """Names to complete; the most recent speaker comes last."""

    def typed(self, line: str) -> None:
        """A line was entered."""

    def pasted(self, lines: Sequence[str]) -> None:
        """These lines were pasted: send them as text, even if they look like commands."""

    def note(self, text: str) -> None:
        """Show a notice of the program itself."""

    def leave(self, *, ask: bool = False, code: int = 0) -> None:
        """Leave the chat with exit code ``code``; with ``ask``, confirm first if something is unsent."""


class Screen(Protocol):
    """Where lines are drawn."""

    def draw(self, text: str) -> None:
        """Add sanitised (perhaps styled) lines to the scrollback. Drawn together, at the end of this loop step."""

    def note(self, text: str) -> None:
        """The same, for a notice of the program itself."""

    def refresh(self) -> None:
        """Draw the delegate's status and pending messages again: they have changed."""

    def after_drawing(self, then: Callable[[], None]) -> None:
        """Backpressure: call ``then`` when everything drawn so far has been written, so more can be read."""

    async def run(self) -> None:
        """Read input until :meth:`close`. The terminal is restored when this returns."""

    def close(self, within: float | None = None) -> None:
        """End :meth:`run`; after ``within`` seconds even if a pipe's slow reader has not taken all the output."""
