"""What will go wrong, when and for whom: worked out from a seed before anything begins. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

# How often each kind comes in a whole run: 16 kills of the server, 5 stops of over a minute, more than 200 in all.
COUNTS = {
    "kill prompt": 24,
    "kill reader": 18,
    "kill writer": 18,
    "kill server": 16,
    "kill gate": 8,
    "kill gate reader": 4,
    "kill gate writer": 4,
    "stop reader": 7,
    "stop writer": 7,
    "stop server": 8,
    "stop gate": 5,
    "stop reader long": 1,
    "stop writer long": 1,
    "stop server long": 2,
    "stop gate long": 1,
    "cut controller": 10,
    "cut store": 16,
    "hole controller": 6,
    "hole store": 10,
    "slow controller": 5,
    "slow store": 7,
    "cut gate": 8,
    "hole gate": 6,
    "slow gate": 4,
    "disk full": 12,
    "clock off": 10,
}
LENGTHS = {
    "stop reader": (1.0, 9.0),
    "stop writer": (1.0, 9.0),
    "stop server": (1.0, 12.0),
    "stop gate": (6.0, 12.0),  # until guests are told
    "stop reader long": (61.0, 66.0),
    "stop writer long": (61.0, 66.0),
    "stop server long": (61.0, 66.0),
    "stop gate long": (61.0, 66.0),
    "hole controller": (2.0, 12.0),
    "hole store": (2.0, 12.0),
    "slow controller": (5.0, 15.0),
    "slow store": (5.0, 15.0),
    "hole gate": (6.0, 12.0),
    "slow gate": (5.0, 15.0),
    "disk full": (3.0, 15.0),
}
# In a short run there is time for each kind once or twice, and for no long stop.
SHORT_COUNTS = {
    "kill prompt": 2,
    "kill reader": 1,
    "kill writer": 1,
    "kill server": 1,
    "kill gate": 1,
    "kill gate writer": 1,
    "stop reader": 1,
    "stop server": 1,
    "stop gate": 1,
    "cut controller": 1,
    "cut store": 1,
    "hole store": 1,
    "cut gate": 1,
    "hole gate": 1,
    "disk full": 1,
    "clock off": 1,
}
WRONG_CLOCKS = (-86_400 * 400, -7200, -90, 75, 3600, 86_400 * 3)
WHOLE = ("server", "controller", "store", "gate")  # what hits everybody, or all guests
OWNERS_ONLY = ("reader", "writer")  # a guest's program has no workers


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, ``at`` so many seconds after the beginning."""

    at: float
    kind: str
    who: str  # the person hit; "" when it is everybody
    length: float = 0.0  # seconds it lasts, for those that last
    how: str = ""


def scaled(counts: dict[str, int], share: float) -> dict[str, int]:
    """The counts of a run that is shorter: each kind at least once, but the long ones only if there is time."""
    return {kind: round(count * share) or int(not kind.endswith("long")) for kind, count in counts.items()}


def schedule(
    seed: int, owners: Sequence[str], guests: Sequence[str], seconds: float, counts: dict[str, int]
) -> list[Fault]:
    """All faults of a run, in order."""
    chance = random.Random(f"schedule {seed}")
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    chance.shuffle(kinds)
    # What is longer than a minute must not come one after the other, and must end before the run does.
    long = [kind for kind in kinds if kind.endswith("long")]
    others = [kind for kind in kinds if not kind.endswith("long")]
    faults = [
        _fault(
            chance, seconds * (0.05 + 0.8 * (place + chance.random() * 0.3) / max(1, len(long))), kind, owners, guests
        )
        for place, kind in enumerate(long)
    ]
    step = seconds / max(1, len(others))
    for place, kind in enumerate(others):
        faults.append(_fault(chance, step * (place + chance.random()), kind, owners, guests))
    return sorted(faults, key=lambda fault: fault.at)


def _fault(chance: random.Random, at: float, kind: str, owners: Sequence[str], guests: Sequence[str]) -> Fault:
    of = [*owners] if any(word in kind for word in OWNERS_ONLY) else [*owners, *guests]
    who = "" if any(word in kind for word in WHOLE) else chance.choice(of)
    low, high = LENGTHS.get(kind, (0.0, 0.0))
    how = ""
    if kind == "clock off":
        how = ",".join(str(chance.choice(WRONG_CLOCKS)) for _ in range(2))
    elif kind == "kill server":
        how = chance.choice(["left to the clients", "left to the clients", "started by hand"])
    elif kind.startswith("slow"):
        how = f"{chance.uniform(0.05, 0.4):.2f}"
    return Fault(round(at, 2), kind, who, round(chance.uniform(low, high), 1), how)
