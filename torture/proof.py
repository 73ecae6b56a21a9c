"""How each fault proves that it happened: a check that becomes true once its effect was seen, and never by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import psutil

from torture.person import Life, Line, Person

Proof = Callable[[], bool]
NEAR = 5.0  # seconds between a line's typing and the program's look at its clock, on a busy machine


def gone(process: psutil.Process) -> Proof:
    """``process`` was alive, and is not any more."""

    def proof() -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return proof


def stopped(process: psutil.Process) -> Proof:
    """``process`` was seen suspended."""

    def proof() -> bool:
        try:
            return process.status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    return proof


def each(*proofs: Proof) -> Proof:
    """Each of ``proofs`` was true, at a time of its own."""
    left = list(proofs)

    def proof() -> bool:
        left[:] = [one for one in left if not one()]
        return not left

    return proof


def told(guests: Sequence[Person]) -> Proof:
    """The screen of one of these guests has said, since now, that the gate is away."""
    return counted(lambda: sum(guest.told for guest in guests))


def refused(life: Life) -> Proof:
    """The chat has said that something could not be written to the disk."""
    return lambda: life.refused


def counted(count: Callable[[], int]) -> Proof:
    """``count()``, which only grows, has grown since now."""
    before = count()
    return lambda: count() > before


def from_the_log() -> bool:
    """Only the log tells, in the end: see :func:`wrong_clocks`."""
    return False


def wrong_clocks(person: Person, times: Mapping[tuple[str, int], Iterable[datetime]]) -> int:
    """How many lives of ``person`` with a wrong clock have left a message with that wrong time in the log.

    ``times`` holds the times that the log has for each message, by sender and number.
    """
    return sum(
        any(_is_wrong(life, line, times.get((person.name, line.number), ())) for line in person.lines)
        for life in person.lives
        if life.clock
    )


def _is_wrong(life: Life, line: Line, times: Iterable[datetime]) -> bool:
    offsets = [float(offset) for offset in life.clock.split(",")]
    off = [time.timestamp() - line.wall for time in times] if line.life == life.number else []
    return any(abs(one - offset) < NEAR for one in off for offset in offsets)
