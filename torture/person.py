"""A person as a robot: opens a chat in a pseudo-terminal, types lines, reads the screen, and opens it again."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ptyprocess import PtyProcess

from streamcli.model.message import Unreadable, decode
from tests.environment import STREAMCLI, workers_of

SIZE = (30, 200)
# A message in the scrollback, in colour; a pending line and the line being typed look different.
SAID = re.compile(rb"\dm([a-z]+)\x1b\[0m: (?:\x1b\[1m)?m(\d{6})\. ")
TEXT = re.compile(r"m(\d{6})\. ")
AGAIN_AFTER = 0.3  # seconds until a chat that ended is opened again
LEAVE_WITHIN = 4.0  # seconds between two tries to leave
CTRL_D = b"\x04"
REFUSED = re.compile(rb"The disk is full|Is the disk full, or broken")
GATE_AWAY = re.compile(rb"the gate (?:does not answer|can't be reached|has closed|has broken)")
GETS_ON = 3.0  # seconds since something was read back: who is connected, and not only about to be


@dataclass
class Line:
    """A line that was typed."""

    number: int
    at: float  # monotonic seconds
    life: int
    read_back: float | None = None
    synced: bool | None = None  # whether the outbox held it when its terminal was gone; None: nobody had to look
    waited: float = 0.0  # seconds from typing to the end of a terminal that had not synced it
    wall: float = field(default_factory=time.time)  # when it was typed by a right clock, seconds since the epoch


@dataclass
class Life:
    """One run of the program in a terminal."""

    number: int
    process: PtyProcess
    began: float
    clock: str = ""
    prompt: bool = False
    disk_full: bool = False
    refused: bool = False  # the screen has said that something could not be written
    code: int | None = None
    rest: bytes = b""
    unsent: bytes = b""
    seen: list[tuple[str, int]] = field(default_factory=list)
    alive: bool = True


class Person:
    """One user, over all lives of the chat."""

    def __init__(self, name: str, env: dict[str, str], folder: Path, chat: str = "") -> None:
        """``folder`` takes what the screens showed; ``chat`` names the chat that a guest has joined."""
        self.name, self.env, self._folder, self._chat = name, env, folder, chat
        folder.mkdir(parents=True, exist_ok=True)
        self.lines: list[Line] = []
        self.lives: list[Life] = []
        self.next_clock = ""
        self.stays_closed = False
        self.latest = (0.0, 0.0)  # of what was read back: when the last one was typed, and when it came
        self.told = 0  # how often the screen has said that the gate is away
        self._waiting: dict[int, Line] = {}
        self._open_at = 0.0
        self._leaving: float | None = None

    @property
    def is_guest(self) -> bool:
        """Whether this is a guest of somebody else's chat, who reaches it through the gate."""
        return bool(self._chat)

    @property
    def life(self) -> Life | None:
        """The running chat."""
        return self.lives[-1] if self.lives and self.lives[-1].alive else None

    @property
    def read_back(self) -> int:
        """How many lines were read back on this person's own screen, or need not be waited for any more."""
        return len(self.lines) - len(self._waiting)

    @property
    def pid(self) -> int | None:
        """The prompt's process."""
        return int(self.life.process.pid) if self.life else None

    def open(self) -> None:
        """Open a chat in a new terminal."""
        env = dict(self.env)
        if self.next_clock:
            env |= {"STREAMCLI_TORTURE_CLOCK": self.next_clock}
        command = [*STREAMCLI, self._chat] if self._chat else [*STREAMCLI, "--id", self.name]
        process = PtyProcess.spawn(command, env=env, dimensions=SIZE, cwd=env["HOME"])
        os.set_blocking(process.fd, False)
        self.lives.append(Life(len(self.lives), process, time.monotonic(), self.next_clock))
        self.next_clock = ""

    def tend(self, now: float) -> None:
        """Open the chat if it is closed and should not be, and go on with what the terminal could not take."""
        if self.life is None:
            if not self.stays_closed and now >= self._open_at:
                self.open()
            return
        if self.life.unsent:
            self._flush(self.life)
        if self._leaving is not None and now > self._leaving + LEAVE_WITHIN:
            self._leaving = now
            self.press(CTRL_D)

    @property
    def clock_is_due(self) -> bool:
        """Whether a clock was or will be set wrong, and no message has been sent by it yet."""
        life = self.life
        return bool(self.next_clock) or (life is not None and bool(life.clock) and not self._clock_was_seen(life))

    def _clock_was_seen(self, life: Life) -> bool:
        return any(line.life == life.number and line.read_back is not None for line in self.lines)

    def ready(self) -> bool:
        """Whether lines can be typed."""
        life = self.life
        return life is not None and life.prompt and len(life.unsent) < 1000 and self._leaving is None

    def gets_on(self, now: float) -> bool:
        """Whether lines can be typed and were read back a moment ago."""
        return self.ready() and now - self.latest[1] < GETS_ON

    def type_line(self, text: str) -> None:
        """Type the next line and press Enter."""
        assert self.life
        line = Line(len(self.lines), time.monotonic(), self.life.number)
        self.lines.append(line)
        self._waiting[line.number] = line
        self.press(f"m{line.number:06}. {text}\r".encode())

    def leave(self) -> None:
        """Press Ctrl-D, and once more if it asks whether it should go."""
        if self.life and self._leaving is None:
            self._leaving = time.monotonic()
            self.press(CTRL_D)

    def press(self, keys: bytes) -> None:
        """Press keys."""
        if self.life:
            self.life.unsent += keys
            self._flush(self.life)

    def _flush(self, life: Life) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            while life.unsent:
                life.unsent = life.unsent[os.write(life.process.fd, life.unsent) :]

    def listen(self) -> None:
        """Take what was drawn."""
        life = self.life
        assert life
        try:
            piece = os.read(life.process.fd, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._ended(life)
            return
        with (self._folder / f"{self.name}-{life.number:03}.bytes").open("ab") as file:
            file.write(piece)
        life.prompt = life.prompt or f"{self.name}>".encode() in piece
        *rows, life.rest = (life.rest + piece).split(b"\n")
        life.refused = life.refused or REFUSED.search(b" ".join(rows)) is not None
        self.told += any(map(GATE_AWAY.search, rows))
        now = time.monotonic()
        for sender, number in SAID.findall(b"\n".join(rows)):
            life.seen.append((sender.decode(), int(number)))
            if sender.decode() == self.name and (line := self._waiting.pop(int(number), None)):
                line.read_back = now
                self.latest = max(self.latest, (line.at, now))

    def kill(self) -> None:
        """kill -9 of the prompt."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    def _ended(self, life: Life) -> None:
        """The terminal is closed: see what the outbox holds, and open it again soon."""
        with contextlib.suppress(ChildProcessError):
            life.process.wait()
        life.code = -life.process.signalstatus if life.process.signalstatus else life.process.exitstatus
        life.process.close(force=True)
        life.alive, self._leaving = False, None
        now = time.monotonic()
        self._open_at = now + AGAIN_AFTER
        kept = self.outbox()
        for line in self._waiting.values():
            line.synced = line.number in kept
            line.waited = now - line.at if line.life == life.number else line.waited
        if life.clock and not self._clock_was_seen(life):
            self.next_clock = life.clock  # it was killed too soon: nothing in the log shows that its clock was wrong

    def workers(self) -> dict[str, int]:
        """The chat's worker processes, by name."""
        return workers_of(self.pid) if self.pid else {}

    @property
    def data(self) -> Path:
        """The folder of this user's histories and outboxes."""
        return Path(self.env["HOME"]) / ".local" / "share" / "streamcli" / self.name

    def outbox(self) -> set[int]:
        """The numbers of the lines that wait in the outbox."""
        found = set()
        for path in self.data.glob("outbox/*/outbox-*.db"):
            with copied(path) as connection:
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'entry'").fetchone():
                    continue  # the prompt was killed while it made the file
                for (event,) in connection.execute("SELECT event FROM entry ORDER BY number"):
                    content = decode(event, 0)
                    if not isinstance(content, Unreadable) and (said := TEXT.match(content.message)):
                        found.add(int(said[1]))
        return found


@contextlib.contextmanager
def copied(path: Path) -> Iterator[sqlite3.Connection]:
    """A look at a copy, so that the look leaves no trace at the file that a crash has left."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
        connection = sqlite3.connect(copy)
        try:
            yield connection
        finally:
            connection.close()
