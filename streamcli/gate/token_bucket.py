"""Limits how many events a guest appends in a second. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Rate:
    """Events a second, and how many may come at once."""

    a_second: float = 100.0
    burst: float = 1000.0


USUAL_RATE: Final = Rate()


class TokenBucket:
    """One guest's allowance, however many connections they have."""

    def __init__(self, rate: Rate, now: Callable[[], float]) -> None:
        self._rate, self._now = rate, now
        self._tokens, self._at = rate.burst, now()

    def take(self) -> float:
        """Take a token for one event; return for how many seconds to wait before its successor is read."""
        now = self._now()
        self._tokens = min(self._rate.burst, self._tokens + (now - self._at) * self._rate.a_second) - 1
        self._at = now
        return max(0.0, -self._tokens / self._rate.a_second)
