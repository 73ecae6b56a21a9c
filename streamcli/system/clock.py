"""The program's sources of time and randomness, which tests can replace."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timezone


@dataclass(frozen=True)
class Clock:
    """The wall clock (UTC, and today's local date), nanoseconds since 1970, a monotonic clock, random bytes, sleep."""

    now: Callable[[], datetime]
    today: Callable[[], date]
    time_ns: Callable[[], int]
    monotonic: Callable[[], float]  # seconds
    random_bytes: Callable[[int], bytes] = os.urandom
    sleep: Callable[[float], None] = time.sleep

    def seconds(self) -> float:
        """Return seconds since 1970."""
        return self.time_ns() / 1e9

    def milliseconds(self) -> int:
        """Return milliseconds since 1970."""
        return self.time_ns() // 1_000_000


SYSTEM = Clock(lambda: datetime.now(timezone.utc), date.today, time.time_ns, time.monotonic)
