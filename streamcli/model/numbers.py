"""Whole numbers that a person types."""

from __future__ import annotations


def whole(text: str, most: int) -> int | None:
    """Read a number from 1 to ``most``, with as many zeros before it as somebody likes; None if it is anything else."""
    digits = text.lstrip("0")
    # Its length first: Python refuses to read some thousand digits.
    if not digits.isascii() or not digits.isdigit() or len(digits) > len(str(most)) or int(digits) > most:
        return None
    return int(digits)
