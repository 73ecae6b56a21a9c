"""Reads lines from a file descriptor as they arrive, in a thread that may still be waiting when the program ends.

Python's buffered standard input aborts the interpreter's exit while a thread waits in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamcli.system.standard_files import read

_PIECE = 1 << 16
LONGEST = 1 << 20  # bytes, far more than a message may have: only the beginning of a longer line is returned


def lines(fd: int) -> Iterator[list[bytes]]:
    """Yield batches of lines without their ends; never waits for more while a line is available."""
    rest, cut = b"", False
    while piece := read(fd, _PIECE):
        if cut:
            _, end, piece = piece.partition(b"\n")
            cut = not end
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST:
            whole, rest, cut = [*whole, rest], b"", True
        if whole:
            yield whole
    if rest:
        yield [rest]
