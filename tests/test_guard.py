"""An unforeseen error ends every command with the true reason, wherever it happens. No server is needed."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from streamcli.cli import runtime
from streamcli.config import Settings
from streamcli.errors import StreamcliError, UsageError
from streamcli.log.api import Target
from streamcli.log.channel import WorkerEvents
from streamcli.log.frames import Frame, Received
from streamcli.log.process import WorkerProcess
from streamcli.log.supervisor import Supervisor, Tick, asking
from streamcli.log.worker_slot import WorkerSlot
from streamcli.model.address import Controller, Stream
from streamcli.system import guard
from tests.environment import STREAMCLI, make_home
from tests.fake_controller import YES, FakeController, run, until
from tests.fake_worker import FakeRequest
from tests.terminal import Terminal

NOWHERE = "tcp://127.0.0.1:1"
SOON = 8.0  # seconds; a command that did not notice waits for its timeout, which is 60 s here
PROGRAM = "from streamcli.cli.main import main\nmain()\n"

# A supervisor that dies when it would start a worker, and a doctor that finds the server well.
DIES = """
from streamcli.cli import doctor
from streamcli.errors import UsageError
from streamcli.log.probe import Answer
from streamcli.log.supervisor import Supervisor

async def dies(self):
    raise ERROR

async def well(*arguments):
    return Answer.WELL

Supervisor._look, doctor.probe = dies, well
"""
BROKEN = """
from streamcli.log.supervisor import Supervisor

def broken(self, *arguments):
    raise ArithmeticError("unforeseen")

"""


def runs(folder: Path, plant: str, *arguments: str, typed: str = "hi\n") -> tuple[int, str]:
    """Run a command with ``plant`` executed before; its exit code and standard error."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", plant + PROGRAM, *arguments, "--timeout", "60"],
        env=make_home(folder),
        input=typed,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert time.monotonic() - begun < SOON, done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.replace("      The rest needs a server.\n", "")


COMMANDS = {
    "tail": ["tail", "--url", NOWHERE],
    "send": ["send", "--url", NOWHERE, "hello"],
    "history": ["history", "--url", NOWHERE],
    "doctor": ["doctor", "--url", NOWHERE],
    "chat": [NOWHERE, "tim"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_supervisor_that_dies_ends_the_command_with_the_true_reason(tmp_path: Path, name: str) -> None:
    plant = DIES.replace("ERROR", "UsageError('Too long together.')")
    code, said = runs(tmp_path, plant, *COMMANDS[name], typed="")
    assert code == 64
    assert "Too long together." in said
    assert said.count("\n") == 1
    code, said = runs(tmp_path, DIES.replace("ERROR", "ArithmeticError('unforeseen')"), *COMMANDS[name])
    log = tmp_path / ".local/state/streamcli/log/streamcli.log"
    assert code == 70
    assert "Something is wrong in streamcli itself (ArithmeticError). The log says more: " + str(log) in said
    assert "ArithmeticError: unforeseen" in log.read_text()


@pytest.mark.parametrize("name", ["tail", "history", "doctor", "chat"])
def test_an_id_too_long_for_the_stream_is_a_usage_error_at_once(tmp_path: Path, name: str) -> None:
    arguments = ["--id", "é" * 30] if name != "chat" else []
    command = [word if word != "tim" else "é" * 30 for word in COMMANDS[name]]
    code, said = runs(tmp_path, "", *command, *arguments, "--stream", "s" * 90)
    assert code == 64
    assert "The id and the stream's name together are too long" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("send", "from streamcli.cli import send; send.encode = broken"),  # the thread that reads standard input
        ("send", "from streamcli.system import fd_lines; fd_lines.read = broken"),
        ("chat", "from streamcli.ui import plain; plain.lines = broken"),
        ("chat", "from streamcli.chat.chatter import Chatter; Chatter.typed = broken"),  # a callback of the loop
        ("chat", "from streamcli.storage.outbox import Outbox; Outbox.adopt = broken"),  # the outbox's thread
        ("tail", "from streamcli.cli.tail import Tail; Tail._status_changed = broken"),
        ("tail", "from streamcli.system import printing; printing.write_all = broken"),  # the printing thread
    ],
)
def test_an_unforeseen_error_in_a_thread_or_callback_is_said(tmp_path: Path, name: str, what: str) -> None:
    command = ["send", "--url", NOWHERE] if name == "send" else COMMANDS[name]
    code, said = runs(tmp_path, BROKEN + what + "\n", *command)
    assert code == 70, said
    assert "Something is wrong in streamcli itself (ArithmeticError). The log says more: " in said


def test_an_unforeseen_error_gives_the_terminal_back_and_names_what_is_unsent(tmp_path: Path) -> None:
    # Drawing, unlike a key, is a callback of the loop; it fails once the line is there.
    plant = BROKEN + (
        "from streamcli.chat.chatter import Chatter\n"
        "note = Chatter.note\n"
        "def fails(self, text):\n"
        "    self._loop.call_soon(broken, self) if 'commands' in text else note(self, text)\n"
        "Chatter.note = fails\n"
    )
    with Terminal([sys.executable, "-c", plant + PROGRAM, NOWHERE, "tim"], make_home(tmp_path), columns=200) as tim:
        tim.see_last("connecting")
        tim.enter("not lost")
        tim.see_last("1 pending")
        tim.enter("/help")
        assert tim.end() == 70
        tim.see("Not sent yet: “not lost”. The next start with tcp://127.0.0.1:1, scope/stream will send it.")
        tim.see("Something is wrong in streamcli itself (ArithmeticError)")
        assert tim.raw.rfind(b"\x1b[?2004l") > tim.raw.rfind(b"\x1b[?2004h"), "bracketed paste is still on"


def test_a_window_that_is_closed_while_it_is_drawn_to_is_no_fault_of_ours(tmp_path: Path) -> None:
    plant = """
from streamcli.ui.prompt import PromptScreen

def gone(self):
    raise OSError(5, "Input/output error")

PromptScreen._draw_now = gone
"""
    with Terminal([sys.executable, "-c", plant + PROGRAM, NOWHERE, "tim"], make_home(tmp_path)) as tim:
        tim.see_last("connecting")
        tim.enter("/help")
        assert tim.end() == 0


SETTINGS = Settings(Controller("127.0.0.1", 1), "tim", Stream(), "lobby", 60.0)


def works(monkeypatch: pytest.MonkeyPatch, folder: Path, work: Callable[[], object], seconds: float) -> int:
    """A session that begins with ``work`` and then does nothing for a while."""
    monkeypatch.setenv("HOME", str(folder))
    (folder / ".local/state/streamcli/log").mkdir(parents=True)

    async def main(target: Target) -> int:
        kept = work()
        await asyncio.sleep(seconds)
        assert kept is None or kept
        return 0

    return runtime.run(SETTINGS, main)


def _raise(error: BaseException) -> None:
    raise error


async def _fails(error: BaseException) -> None:
    raise error


WAYS: dict[str, Callable[[BaseException], object]] = {
    "callback": lambda error: asyncio.get_running_loop().call_soon(_raise, error),
    "task": lambda error: guard.watched(_fails(error)),
    "thread": lambda error: guard.start_thread(functools.partial(_raise, error), "test"),
    "pool": lambda error: guard.watch(ThreadPoolExecutor(1).submit(_raise, error)),
    "report": lambda error: threading.Thread(target=guard.report, args=(asyncio.get_running_loop(), error)).start(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_session_ends_with_the_first_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str) -> None:
    with pytest.raises(UsageError, match="mine"):
        works(monkeypatch, tmp_path / "1", lambda: WAYS[way](UsageError("mine")), HANG)
    with pytest.raises(StreamcliError, match=r"streamcli itself \(BrokenPipeError\).*/2/.*streamcli.log") as caught:
        works(monkeypatch, tmp_path / "2", lambda: WAYS[way](BrokenPipeError()), HANG)
    assert caught.value.exit_code == 70


HANG = 20.0


def test_what_a_library_lets_fail_in_a_task_of_its_own_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert works(monkeypatch, tmp_path, lambda: asyncio.ensure_future(_fails(OSError("harmless"))) and None, 0.1) == 0


def test_frames_that_we_cannot_take_are_reported_once_a_new_worker_was_of_no_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    errors: list[BaseException] = []
    frames: list[Frame] = []

    def on_frame(received: Received) -> None:
        frames.append(received.kind)
        raise ArithmeticError("unforeseen")

    def start(to: Controller, log: IO[bytes] | int, events: WorkerEvents) -> WorkerProcess:
        return WorkerProcess("tests.fake_worker", to, FakeRequest("count"), log, events)

    async def main() -> None:
        guard.on_error(errors.append)
        controller = FakeController(YES)
        slot = WorkerSlot("fake", start, on_frame, lambda last: None)
        async with controller.listening() as where:
            supervisor = Supervisor(
                lambda: where, [slot], asking(Stream()), lambda status: None, subprocess.DEVNULL, Tick(down=0.05)
            )
            task = asyncio.create_task(supervisor.run())
            await until(lambda: errors)
            supervisor.kill()
            await task
        assert len(frames) == 2
        assert isinstance(errors[0], ArithmeticError)

    run(main())


@pytest.mark.parametrize("zone", ["WGT30", "Nowhere/Foo"])
def test_the_program_still_starts_where_python_may_not_use_the_time_zone(tmp_path: Path, zone: str) -> None:
    env = {**make_home(tmp_path), "TZ": zone}
    with Terminal([*STREAMCLI, NOWHERE, "tim"], env, columns=150) as tim:
        tim.see(f"The time zone {zone} is not valid: times are shown in UTC. Set TZ to a valid one.")
        tim.see_last("connecting")
        os.kill(tim.pid, 15)
        assert tim.end() == 0
