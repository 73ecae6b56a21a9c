"""``python -m torture.echo FILE WORD...``: types keys at a prompt and notes how long each takes until it is drawn.

The words are those with which the chat is opened.

A process of its own, so that it waits for nothing that the fault runner does. It ends when its standard input does.
"""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path

from ptyprocess import PtyProcess

from tests.environment import STREAMCLI

# Keys that stand in no escape sequence and no message. Two rows of them by turns: a key is drawn anew for sure when
# another one stood in its place before, even if both changes are drawn at once.
KEYS = (b"#&{!`", b"~^$|}")
CLEAR = b"\x15"  # Ctrl-U
KEY_EVERY = 0.08
HANGS = 30.0  # seconds after which a key counts as never answered


class Typist:
    """Somebody who types and never sends."""

    def __init__(self, words: list[str], file: Path) -> None:
        self._process = PtyProcess.spawn([*STREAMCLI, *words], env=dict(os.environ), dimensions=(30, 200))
        self._file = file.open("w", encoding="ascii", buffering=1)
        self._bytes = file.with_suffix(".bytes").open("wb")
        self._rest = b""

    def run(self) -> None:
        """Type until standard input ends."""
        self._until(b">", 60)
        number = 0
        while not select.select([0], [], [], 0)[0]:
            row, place = divmod(number, len(KEYS[0]))
            if place == 0:
                os.write(self._process.fd, CLEAR)
                self._listen(KEY_EVERY)
            key = KEYS[row % 2][place : place + 1]
            pressed = time.monotonic()
            os.write(self._process.fd, key)
            took = self._until(key, HANGS)
            late = self._listen(KEY_EVERY)
            self._file.write(f"{pressed:.3f} {took * 1000:.2f} {late * 1000:.2f}\n")
            number += 1
        os.write(self._process.fd, CLEAR + b"\x04")
        self._listen(3)
        self._process.close(force=True)

    def _until(self, mark: bytes, seconds: float) -> float:
        """Seconds until ``mark`` is drawn."""
        begun = time.monotonic()
        self._rest = b""
        while (left := begun + seconds - time.monotonic()) > 0:
            if mark in self._read(left):
                break
        return time.monotonic() - begun

    def _listen(self, seconds: float) -> float:
        """Take what is drawn for a while; by how many seconds the machine let us wake too late, who wait for nobody."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)
        return -left

    def _read(self, seconds: float) -> bytes:
        if not select.select([self._process.fd], [], [], seconds)[0]:
            return b""
        try:
            piece = os.read(self._process.fd, 1 << 16)
        except OSError:
            sys.exit("the prompt at which keys were typed has ended")
        self._bytes.write(piece)
        return piece


if __name__ == "__main__":
    Typist(sys.argv[2:], Path(sys.argv[1])).run()
