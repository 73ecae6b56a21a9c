"""What a person sees and types: a prompt in the terminal's own scrollback, or plain lines without a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from streamcli.model.message import Message


class ScreenDelegate(Protocol):
    """What a screen shows beside the scrollback, and whom it tells what was typed. All in the loop's thread."""

    def status(self) -> str:
        """The bottom line: connection and pending count."""

    def pending(self) -> Sequence[Message]:
        """Messages that stand above the prompt until they are read back."""

    def people(self) -> Sequence[str]:
        """Names to complete, who spoke last at the end."""

    def typed(self, line: str) -> None:
        """A line was entered."""

    def pasted(self, lines: Sequence[str]) -> None:
        """These lines were pasted: they are sent as text, whatever they begin with."""

    def note(self, text: str) -> None:
        """Say ``text`` in the program's own quiet words."""

    def leave(self, *, ask: bool = False, code: int = 0) -> None:
        """The person wants to go; ``ask`` once more if something is unsent. ``code`` is the exit code."""


class Screen(Protocol):
    """Where lines are drawn."""

    def draw(self, text: str) -> None:
        """Put lines (clean, perhaps styled) into the scrollback; drawn together at the end of this step of the loop."""

    def note(self, text: str) -> None:
        """The same for the program's own words."""

    def refresh(self) -> None:
        """What the host shows beside the scrollback has changed."""

    def after_drawing(self, then: Callable[[], None]) -> None:
        """Call ``then`` when all that was drawn before is on its way to the person: the next may come."""

    async def run(self) -> None:
        """Read what is typed until :meth:`close`; the terminal is restored when this returns."""

    def close(self, within: float | None = None) -> None:
        """End :meth:`run`, with a slow reader of a pipe after so many seconds even if not all is printed."""
