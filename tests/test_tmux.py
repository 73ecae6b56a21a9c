"""What only a terminal shows that breaks rows anew when it is made narrower: a real tmux."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import People
from tests.environment import STREAMCLI
from tests.raw import Raw

DRAFT = "a draft of many words " * 4
MISSING = shutil.which("tmux") is None


class Tmux:
    """One window of a tmux server of its own."""

    def __init__(self, folder: Path, command: list[str], env: dict[str, str]) -> None:
        self._base = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        self._run("new-session", "-d", "-x", "100", "-y", "30", "--", *command, env=env | {"TERM": "xterm-256color"})

    def _run(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run([*self._base, *arguments], env=env, capture_output=True, text=True, timeout=30)
        return done.stdout

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def press(self, key: str) -> None:
        self._run("send-keys", key)

    def width(self, columns: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", "30")

    def lines(self) -> list[str]:
        """Scrollback and screen, with rows that tmux has broken joined again."""
        return self._run("capture-pane", "-p", "-J", "-S", "-").rstrip().splitlines()

    def see(self, fits: Callable[[list[str]], bool], what: str) -> None:
        end = time.monotonic() + 30
        while not fits(self.lines()):
            assert time.monotonic() < end, f"{what}\n" + "\n".join(self.lines())
            time.sleep(0.05)

    def close(self) -> None:
        self._run("kill-server")


@pytest.fixture
def tmux(people: People, raw: Raw, tmp_path: Path) -> Iterator[Tmux]:
    if MISSING and not os.environ.get("CI"):
        pytest.skip("tmux is not installed")
    for number in range(5):
        raw.say("bot", f"message {number}.")
    window = Tmux(tmp_path, [*STREAMCLI, people.url, "tim"], people.env("tim"))
    window.see(lambda lines: bool(lines) and "connected to" in lines[-1], "connected")
    yield window
    window.close()


def test_a_narrower_terminal_leaves_no_copies_of_draft_and_status(tmux: Tmux) -> None:
    def whole(lines: list[str]) -> bool:
        return "".join(lines).count("connected to") >= 1 and "message 4." in "".join(lines)

    tmux.type(DRAFT)
    tmux.see(lambda lines: "words" in lines[-2], "the draft")
    for columns in (60, 100, 45, 100, 60):
        tmux.width(columns)
        time.sleep(0.3)  # until the program has heard of it; it draws at once then
        tmux.see(whole, f"at {columns}")
    tmux.width(100)
    tmux.type("end.")
    tmux.see(lambda lines: "".join(lines).count("end.") == 1, "the end of the draft")
    text = "\n".join(tmux.lines())
    assert text.count("connected to") <= 2, text
    assert text.count("tim>") <= 2, text
    for number in range(5):
        assert text.count(f"message {number}.") == 1, text
