"""Parses whole numbers typed by the user."""

from __future__ import annotations


def whole(text: str, most: int) -> int | None:
    """Parse a number from 1 to ``most``; leading zeros are allowed. None for anything else."""
    digits = text.lstrip("0")
    # Check the length first: int() rejects thousands of digits.
    if not digits.isascii() or not digits.isdigit() or len(digits) > len(str(most)) or int(digits) > most:
        return None
    return int(digits)
