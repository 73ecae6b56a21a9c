"""A clock that stands still until somebody sleeps by it, for tests of code that waits."""

from __future__ import annotations

import itertools
from datetime import datetime, timezone

from streamcli.system.clock import Clock

BEGINS = 1_800_000_000.0  # seconds since 1970


def fake_clock() -> Clock:
    """Return a clock whose ``sleep`` returns at once, and lets its time pass; its random bytes are numbers from 0."""
    passed, numbers = 0.0, itertools.count()

    def sleep(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    def now() -> datetime:
        return datetime.fromtimestamp(BEGINS + passed, timezone.utc)

    return Clock(
        now=now,
        today=lambda: now().date(),
        time_ns=lambda: int((BEGINS + passed) * 1e9),
        monotonic=lambda: passed,
        random_bytes=lambda size: next(numbers).to_bytes(size, "big"),
        sleep=sleep,
    )
