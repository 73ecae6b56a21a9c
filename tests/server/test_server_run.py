"""``streamcli server run``: the server in the foreground, for systemd and containers. Most tests need no Pravega."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from streamcli.server import Quiet, ServerOptions, State, ensure_running, server_log, state, status
from tests.environment import STREAMCLI
from tests.server.conftest import until

FakeServer = Callable[[str], Path]
# The command with the program of the fixture `fake_server` in place of the server's own.
RUN = """\
import sys
from streamcli.cli import main
from streamcli.server import launch
program = sys.argv[1]
launch.program = lambda: [sys.executable, program]
sys.exit(main.run(["server", "run", *sys.argv[2:]]))
"""


class Run:
    """A running `server run`, and what it has written."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out, self.err = "", ""
        self._threads = [
            threading.Thread(target=self._read_out, args=(process.stdout or (),)),
            threading.Thread(target=self._read_err, args=(process.stderr or (),)),
        ]
        for thread in self._threads:
            thread.start()

    def _read_out(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.out += line

    def _read_err(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.err += line

    def wait_until_ready(self) -> int:
        """Wait until the server is ready; return its pid."""
        assert until(lambda: "server: ready at" in self.err or self.process.poll() is not None), self.err
        assert self.process.poll() is None, self.err
        pid = status().pid
        assert pid
        return pid

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if any, and wait for the end; return the exit code."""
        if number:
            self.process.send_signal(number)
        code = self.process.wait(20)
        for thread in self._threads:
            thread.join(10)
        assert "Traceback" not in self.out + self.err
        return code


def closed_pipe() -> int:
    """The end of a pipe whose reader is gone."""
    read, write = os.pipe()
    os.close(read)
    return write


@contextmanager
def running(tmp_path: Path, *options: str, stdout: int = subprocess.PIPE) -> Iterator[Run]:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path / "fake_server.py"), *options],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    if stdout != subprocess.PIPE:
        os.close(stdout)
    with process:
        try:
            yield Run(process)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_in_order(
    home: Path, fake_server: FakeServer, tmp_path: Path, number: signal.Signals
) -> None:
    fake_server("serve()")
    with running(tmp_path) as run:
        pid = run.wait_until_ready()
        assert run.end(number) == 0
        assert run.err.splitlines()[-1] == "server: stopped"
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert status().state is State.STOPPED


def test_a_signal_while_it_starts_ends_it_too(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server("time.sleep(60)")
    with running(tmp_path) as run:
        assert until(lambda: status().state is State.STARTING and status().pid is not None)
        pid = status().pid
        assert run.end(signal.SIGTERM) == 0
    assert pid and not psutil.pid_exists(pid)
    assert status().state is State.STOPPED


def test_a_stop_from_another_terminal_ends_it_with_0(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server("serve()")
    with running(tmp_path) as run:
        run.wait_until_ready()
        done = subprocess.run([*STREAMCLI, "server", "stop"], capture_output=True, text=True, timeout=60)
        assert done.stdout == "The embedded server is stopped.\n"
        assert run.end() == 0


def test_a_server_that_ends_by_itself_is_69(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server("serve()")
    with running(tmp_path) as run:
        pid = run.wait_until_ready()
        os.kill(pid, signal.SIGKILL)
        assert run.end() == 69
        assert run.err.splitlines()[-1] == (
            f"streamcli: The embedded server ended unexpectedly: its process {pid} is gone. "
            f"Its log: {state.log_path()}."
        )
    assert status().state is State.CRASHED


def test_a_server_that_never_gets_ready_is_said(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server("sys.exit('Error: no more')")
    with running(tmp_path) as run:
        assert run.end() == 69
        assert 'ended while it started with "Error: no more"' in run.err


def test_a_second_one_and_a_start_beside_it_are_one_line(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    starts = fake_server("serve()")
    with running(tmp_path) as run:
        run.wait_until_ready()
        with running(tmp_path) as second:
            assert second.end() == 64
            assert second.err == (
                "streamcli: `streamcli server run` runs here already. `streamcli server stop` ends it.\n"
            )
        start = subprocess.run([*STREAMCLI, "server", "start"], capture_output=True, text=True, timeout=60)
        assert (start.returncode, start.stderr) == (0, "")
        assert start.stdout.startswith("The embedded server is already running at ")
        assert run.process.poll() is None
        run.end(signal.SIGTERM)
    assert starts.read_text() == "x"


def test_a_server_that_runs_already_is_taken_over(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    starts = fake_server("serve()")
    ensure_running(Quiet(), 30)
    with running(tmp_path, "--in-memory") as run:
        assert run.end() == 64
        assert "`streamcli server stop` first" in run.err
    with running(tmp_path) as run:
        assert until(lambda: "it runs already at tcp://" in run.err)
        assert run.end(signal.SIGTERM) == 0
    assert status().state is State.STOPPED
    assert starts.read_text() == "x"


def test_it_takes_the_options_of_a_start(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server("serve()")
    with running(tmp_path, "--data-dir", str(tmp_path / "there"), "--no-auth") as run:
        run.wait_until_ready()
        assert state.remembered() == ServerOptions(data=str(tmp_path / "there"), auth=False)
        assert run.end(signal.SIGTERM) == 0


def test_the_log_goes_to_standard_output(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    (home / "log").mkdir(parents=True)
    state.log_path().write_text("of an earlier start\n")
    fake_server("pathlib.Path('log/server.log').write_text('ERROR of this start\\n')\nprint('Java said')\nserve()")
    with running(tmp_path) as run:
        run.wait_until_ready()
        with state.log_path().open("a") as log:
            log.write("and more, ü\n")
        assert until(lambda: "more" in run.out)
        assert run.end(signal.SIGTERM) == 0
        assert sorted(run.out.splitlines()) == ["ERROR of this start", "Java said", "and more, ü"]


def test_a_server_whose_output_nobody_reads_goes_on(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server("for _ in range(9999):\n    print('x' * 99, flush=True)\nserve()")
    with running(tmp_path, stdout=closed_pipe()) as run:
        run.wait_until_ready()
        assert run.end(signal.SIGTERM) == 0


def test_a_log_that_is_emptied_or_replaced_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    growing = server_log._Growing(path)
    assert growing.more() == ""
    with path.open("ab") as file:
        file.write("ü".encode()[:1])
        file.flush()
        assert growing.more() == ""
        file.write("ü\n".encode()[1:])
    path.rename(tmp_path / "log.1")
    path.write_text("after\n")
    assert growing.more() == "ü\nafter\n"
    path.write_text("new\n")
    assert growing.more() == "new\n"
    path.unlink()
    assert growing.more() == ""
    path.write_text("again\n")
    assert growing.more() == "again\n"
    growing.close()
    never = server_log._Growing(tmp_path / "never")
    assert never.more() == ""
    never.close()
