"""A chat of somebody else's that was joined: where its gate is, and who we are there. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEY: Final = "gate:"
"""Begins the key of the address of a joined chat."""


@dataclass(frozen=True)
class JoinedChat:
    """A joined chat. ``name`` is what it is called on this machine, ``guest`` our name in it.

    ``folder`` holds our key and the two certificates; ``places`` are the gate's hosts and ports, the best one first.
    ``pin`` recognises the gate, wherever it is, and ``stream`` is the stream behind it, for display.
    """

    name: str
    guest: str
    folder: Path
    places: tuple[tuple[str, int], ...]
    pin: str
    stream: str
    joined: float = 0.0  # seconds since 1970

    @property
    def key(self) -> str:
        """The same for the same gate, whatever its address."""
        return f"{KEY}{self.pin}"
