"""Limits how many events a guest appends in a second. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_TOKEN_BYTES: Final = 1024  # a longer event takes as many tokens as it has KiB: what is scarce is the owner's disk


@dataclass(frozen=True)
class Rate:
    """Events of up to 1 KiB a second, and how many may come at once."""

    a_second: float = 100.0
    burst: float = 1000.0


USUAL_RATE: Final = Rate()


class TokenBucket:
    """One guest's allowance, however many connections they have."""

    def __init__(self, rate: Rate, now: Callable[[], float]) -> None:
        self._rate, self._now = rate, now
        self._tokens, self._at = rate.burst, now()

    def take(self, size: int) -> float:
        """Take tokens for an event of ``size`` bytes; return for how many seconds to wait before the next is read."""
        now = self._now()
        self._tokens = min(self._rate.burst, self._tokens + (now - self._at) * self._rate.a_second)
        self._tokens -= max(1, -(-size // _TOKEN_BYTES))
        self._at = now
        return max(0.0, -self._tokens / self._rate.a_second)
