"""A person's terminal: the program runs in a real pseudo-terminal, and an emulator shows what the person would see."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import cast

import pyte
from ptyprocess import PtyProcess
from rich.style import Style
from rich.text import Text

DEADLINE = 30.0
COLOURS = {"brightblack": "bright_black", "brightbrown": "bright_yellow"}


class Screen(pyte.HistoryScreen):
    """pyte's screen with scrollback, which also counts what no message may ever cause."""

    def __init__(self, columns: int, lines: int) -> None:
        self.bells = 0
        self.titles: list[str] = []
        super().__init__(columns, lines, history=100_000, ratio=0.5)

    def bell(self, *args: object) -> None:
        self.bells += 1

    def set_title(self, param: str) -> None:
        self.titles.append(param)


class Terminal:
    """One program in one terminal. All that is shown is kept, so a test can ask for the scrollback too."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        columns: int = 100,
        lines: int = 30,
        cwd: str | None = None,
    ) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._screen = Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = bytearray()
        self.ended = False
        self.process = PtyProcess.spawn(list(command), env=dict(env), dimensions=(lines, columns), cwd=cwd)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            print(f"--- what {self.process.argv} showed ---")
            print("\n".join(self.lines()))
        if self.process.isalive():
            self.process.kill(signal.SIGKILL)
        self._thread.join(5)
        self.process.close(force=True)

    @property
    def pid(self) -> int:
        return cast(int, self.process.pid)

    @property
    def bells(self) -> int:
        return self._screen.bells

    @property
    def titles(self) -> list[str]:
        return self._screen.titles

    def type(self, text: str) -> None:
        """Press the keys of ``text``."""
        self.process.write(text.encode())

    def enter(self, line: str) -> None:
        """Type a line and press Enter."""
        self.type(line + "\r")

    def paste(self, text: str) -> None:
        """Paste as a terminal with bracketed paste does."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, lines: int) -> None:
        with self._changed:
            self._screen.resize(lines, columns)
        self.process.setwinsize(lines, columns)

    def rows(self) -> list[str]:
        """The rows that can be seen now."""
        with self._changed:
            return [row.rstrip() for row in self._screen.display]

    def lines(self) -> list[str]:
        """Scrollback and screen, without empty rows at the end."""
        with self._changed:
            above = ["".join(row[x].data for x in range(self._screen.columns)) for row in self._screen.history.top]
            rows = [row.rstrip() for row in [*above, *self._screen.display]]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def styled_rows(self) -> list[Text]:
        """The rows that can be seen now with their colours, for a picture."""
        with self._changed:
            rows = []
            for y in range(self._screen.lines):
                row, text = self._screen.buffer[y], Text()
                for x in range(self._screen.columns):
                    char = row[x]
                    colour = None if char.fg == "default" else f"#{char.fg}" if len(char.fg) == 6 else char.fg
                    # pyte has no faint characters; what we draw faint is bright black there or plain.
                    text.append(char.data, Style(color=COLOURS.get(str(colour), colour), bold=char.bold))
                rows.append(text)
            return rows

    def before_cursor(self) -> str:
        """The cursor's row up to the cursor: the prompt and what is typed."""
        with self._changed:
            cursor = self._screen.cursor
            return "".join(self._screen.buffer[cursor.y][x].data for x in range(cursor.x))

    def wait(self, fits: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
        """Wait until ``fits()``, asked whenever something is drawn."""
        end = time.monotonic() + deadline
        with self._changed:
            while not fits():
                left = end - time.monotonic()
                if left <= 0:
                    shown = "\n".join(self.lines()[-40:])
                    raise AssertionError(f"not seen within {deadline} s: {what}\n--- screen ---\n{shown}\n---")
                self._changed.wait(min(left, 0.2))

    def see(self, text: str, times: int = 1, deadline: float = DEADLINE) -> None:
        """Wait until ``text`` stands in that many rows of scrollback and screen, or more."""
        self.wait(lambda: self.count(text) >= times, f"{text!r} {times}×", deadline)

    def see_last(self, text: str, deadline: float = DEADLINE) -> None:
        """Wait until ``text`` stands in the last row, the status line."""
        self.wait(lambda: text in (self.lines() or [""])[-1], f"{text!r} in the last row", deadline)

    def see_typed(self, text: str, deadline: float = DEADLINE) -> None:
        """Wait until prompt and typed text up to the cursor are exactly ``text``."""
        self.wait(lambda: self.before_cursor() == text, f"{text!r} before the cursor", deadline)

    def count(self, text: str) -> int:
        """In how many rows ``text`` stands."""
        return sum(text in row for row in self.lines())

    def connected(self) -> Terminal:
        """Wait until the chat is connected and has read the log."""
        self.see_last("connected to")
        return self

    def echo_time(self, key: str, deadline: float = DEADLINE) -> float:
        """Seconds from pressing ``key`` until it stands in the prompt."""
        before = self.before_cursor()
        start = time.perf_counter()
        self.type(key)
        self.wait(lambda: self.before_cursor() == before + key, f"the echo of {key!r}", deadline)
        return time.perf_counter() - start

    def end(self, deadline: float = DEADLINE) -> int:
        """Wait for the program's end and return its exit code (negative: the signal)."""
        end = time.monotonic() + deadline
        while self.process.isalive():
            assert time.monotonic() < end, f"still running after {deadline} s\n" + "\n".join(self.lines()[-20:])
            time.sleep(0.005)
        self._thread.join(5)
        status, killed = self.process.exitstatus, self.process.signalstatus
        return cast(int, -killed if status is None else status)

    def _listen(self) -> None:
        while True:
            try:
                piece = os.read(self.process.fd, 65536)
            except OSError:
                piece = b""
            with self._changed:
                if not piece:
                    self.ended = True
                else:
                    self.raw += piece
                    self._stream.feed(piece)
                self._changed.notify_all()
            if not piece:
                return
