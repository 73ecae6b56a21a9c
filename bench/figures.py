"""What was measured, as values: samples, their percentiles, and rows that hold a goal against a figure. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Summary:
    """What a set of samples comes down to; all but ``n`` in the samples' unit."""

    n: int
    min: float
    p50: float
    p90: float
    p99: float
    max: float


def summary(samples: Sequence[float]) -> Summary:
    """Sum ``samples`` up; raises ValueError when there are none."""
    if not samples:
        raise ValueError("nothing was measured")
    ordered = sorted(samples)
    p50, p90, p99 = (percentile(ordered, share) for share in (0.5, 0.9, 0.99))
    return Summary(len(ordered), ordered[0], p50, p90, p99, ordered[-1])


def percentile(ordered: Sequence[float], share: float) -> float:
    """The sample that ``share`` of all (sorted) samples don't exceed: one that was measured, never one between two."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Row:
    """One line of the table; ``met`` is None where there is no goal."""

    what: str
    measured: str
    goal: str = ""
    met: bool | None = None


def at_most(what: str, value: float, limit: float, unit: str, goal: str = "", note: str = "") -> Row:
    """A row that is met by ``value <= limit``; it says by how much it is missed."""
    over = "" if value <= limit else f", {_number(value - limit)} {unit} too much"
    return Row(what, f"{_number(value)} {unit}{note}{over}", goal or f"at most {_number(limit)} {unit}", not over)


def at_least(what: str, value: float, limit: float, unit: str, note: str = "") -> Row:
    """A row that is met by ``value >= limit``; it says by how much it is missed."""
    under = "" if value >= limit else f", {_number(limit - value)} {unit} too little"
    return Row(what, f"{_number(value)} {unit}{note}{under}", f"at least {_number(limit)} {unit}", not under)


def spread(found: Summary, unit: str = "ms") -> str:
    """The percentiles in one cell."""
    middle = f"p50 {found.p50:.1f}, p99 {found.p99:.1f}, max {found.max:.1f}"
    return f"{middle} {unit} (n = {found.n})"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table whose columns are aligned, so that a terminal shows it well too."""
    cells = [("what", "measured", "goal", "met"), *((row.what, row.measured, row.goal, _said(row.met)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def as_json(value: Any) -> Any:
    """Numbers rounded to what can be believed, for the file."""
    if isinstance(value, dict):
        return {key: as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(one) for one in value]
    return round(value, 3) if isinstance(value, float) else value


def _said(met: bool | None) -> str:
    return "" if met is None else "yes" if met else "NO"


def _number(value: float) -> str:
    digits = 0 if value >= 100 else 1 if value >= 1 else 2
    return f"{value:,.{digits}f}"
