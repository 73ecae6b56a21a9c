"""Whole numbers as a user types them, and durations as a user reads them."""

from __future__ import annotations


def whole(text: str, most: int) -> int | None:
    """Parse a number from 1 to ``most``; leading zeros are allowed. None for anything else."""
    digits = text.lstrip("0")
    # Check the length first: int() rejects thousands of digits.
    if not digits.isascii() or not digits.isdigit() or len(digits) > len(str(most)) or int(digits) > most:
        return None
    return int(digits)


def duration(seconds: float) -> str:
    """Format a duration, such as ``2 h 5 min``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
