"""Silence: how long nothing that somebody typed came to somebody's screen, after each kill of a part. Pure."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Way = tuple[str, str]  # on whose screen, and who typed it


@dataclass
class Kill:
    """A part that was killed, and later started again; times in monotonic seconds."""

    part: str
    at: float
    gone: bool = False  # its process was alive before, and is not any more
    again: float = 0.0  # when it was started again
    ready: float = 0.0  # when it was ready again
    until: float = 0.0  # when the next part was killed, or all was over


def order(seed: int, kinds: Sequence[Sequence[str]], kills: int) -> list[str]:
    """Which part is killed when: each kind as often as the others, and each part of a kind as often as its like."""
    chance = random.Random(f"cluster {seed}")
    rounds = []
    for number in range(kills):
        parts = kinds[number % len(kinds)]
        rounds.append(parts[number // len(kinds) % len(parts)])
    chance.shuffle(rounds)
    return rounds


def longest(arrivals: dict[Way, list[float]], begin: float, end: float) -> float:
    """Return the longest time between ``begin`` and ``end`` in which one of the ways was silent."""
    most = 0.0
    for times in arrivals.values():
        marks = [begin, *(time for time in times if begin < time < end), end]
        most = max(most, *(later - earlier for earlier, later in pairwise(marks)))
    return most


def rows(kills: Sequence[Kill], arrivals: dict[Way, list[float]], kinds: dict[str, str]) -> list[str]:
    """Return the table: for each kind of part, the silence after a kill and after its part was started again."""
    lines = [
        "| killed | how often | silence: median, longest | started again, silence: median, longest |",
        "| --- | --- | --- | --- |",
    ]
    for kind, name in kinds.items():
        some = [kill for kill in kills if kill.part.startswith(kind)]
        if some:
            after = [longest(arrivals, kill.at, kill.again) for kill in some]
            back = [longest(arrivals, kill.again, kill.until) for kill in some]
            lines.append(f"| {name} | {len(some)} | {_two(after)} | {_two(back)} |")
    return lines


def _two(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.1f} s, {max(seconds):.1f} s"
