"""Backups where what counts is our side: which folder, what is left after a failure, and that the server goes on."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from streamcli.errors import CannotCreate, FileTrouble, NothingFound, Unreachable, Unusable, UsageError
from streamcli.server import Quiet, ServerOptions, State, backup, data, ensure_running, folder_copy, state, status, stop
from streamcli.server.backup import back_up
from streamcli.server.folder_copy import FolderCopy
from streamcli.server.pause import stands_still
from tests.environment import STREAMCLI
from tests.server.conftest import until

FakeServer = Callable[[str], Path]
# It writes each number to one file and then to another.
WRITES = """\
import threading
data = pathlib.Path("data")
files = [os.open(data / part / "number", os.O_CREAT | os.O_RDWR) for part in ("journal", "ledgers")]
def write(number):
    for file in files:
        os.pwrite(file, b"%09d" % number, 0)
def work():
    for number in range(10 ** 9):
        write(number)
write(0)
(data / "zookeeper" / "log").touch()
(data / "format").touch()
threading.Thread(target=work, daemon=True).start()
serve()
"""
# The command with a second, longer look at the files.
SLOW = """\
import sys, time
from streamcli.cli import main
from streamcli.server import folder_copy
update, calls = folder_copy.FolderCopy.update, []
def slowly(self):
    update(self)
    calls.append(self)
    if len(calls) == 2:
        print("suspended", flush=True)
        time.sleep(60)
folder_copy.FolderCopy.update = slowly
sys.exit(main.run(["server", "backup", sys.argv[1]]))
"""


def server_process() -> psutil.Process:
    record = state.read()
    assert record
    return psutil.Process(record.pid)


def numbers(folder: Path) -> list[int]:
    return [int((folder / part / "number").read_bytes()) for part in ("journal", "ledgers")]


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_what_a_running_server_writes_is_copied_as_of_one_moment(
    home: Path, fake_server: FakeServer, tmp_path: Path
) -> None:
    fake_server(WRITES)
    ensure_running(Quiet(), 30)
    for number in range(10):
        target = tmp_path / f"backup {number}"
        before, _ = numbers(data.default_folder())
        made = back_up(target)
        first, second = numbers(target)
        assert first - second in (0, 1)
        assert first > before
        assert made.pause is not None and made.size > 0
        assert names(target) == sorted((*data.PARTS, data.FORMAT))
        assert {stat.S_IMODE(one.stat().st_mode) for one in (target, *target.iterdir())} == {0o700, 0o600}
        assert until(lambda: status().state is State.RUNNING)
    ensure_running(Quiet(), 30)


def test_a_server_that_does_not_run_is_copied_and_kept_from_starting(
    home: Path, fake_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(WRITES)
    ensure_running(Quiet(), 30, ServerOptions(data=str(tmp_path / "data")))
    stop(5)
    locked = []
    update = FolderCopy.update

    def watched(self: FolderCopy) -> None:
        locked.append((data.is_locked(tmp_path / "data"), state.folder() / state.START_LOCK))
        update(self)

    monkeypatch.setattr(FolderCopy, "update", watched)
    made = back_up(tmp_path / "copy")
    assert made.pause is None
    assert [one for one, _ in locked] == [False, True]
    assert not data.is_locked(tmp_path / "data")
    assert numbers(tmp_path / "copy") == numbers(tmp_path / "data")


def test_there_may_be_nothing_to_copy(home: Path, fake_server: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(NothingFound, match="no server has stored anything"):
        back_up(tmp_path / "copy")
    fake_server("serve()")
    ensure_running(Quiet(), 30, ServerOptions(durable=False))
    with pytest.raises(NothingFound, match="in memory: there is nothing to back up"):
        back_up(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.fixture
def stopped(home: Path, tmp_path: Path) -> Path:
    """The data folder of a server that was stopped."""
    folder = tmp_path / "data"
    data.prepare(folder)
    (folder / data.FORMAT).touch()
    (folder / "zookeeper" / "log").touch()
    (folder / "journal" / "number").write_text("1")
    home.mkdir(parents=True)
    state.write(state.Record(state.STOPPED, 1, 1.0, state.Ports(), 1.0, ServerOptions(data=str(folder))))
    return folder


def test_a_folder_in_the_data_or_with_other_files_is_refused(stopped: Path, tmp_path: Path) -> None:
    for inside in (stopped, stopped / "copy", stopped / "journal" / ".." / "copy"):
        with pytest.raises(UsageError, match="is in the data folder"):
            back_up(inside)
    (tmp_path / "link").symlink_to(stopped)
    with pytest.raises(UsageError, match="is in the data folder"):
        back_up(tmp_path / "link" / "copy")
    with pytest.raises(Unusable, match="holds other files"):
        back_up(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(CannotCreate):
        back_up(tmp_path / "file")
    assert names(stopped) == sorted((*data.PARTS, data.FORMAT))


def test_an_empty_folder_is_taken_and_a_new_one_made(stopped: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    for target in (tmp_path / "empty", tmp_path / "new" / "folder"):
        back_up(target)
        assert (target / "journal" / "number").read_text() == "1"
        assert stat.S_IMODE(target.stat().st_mode) == 0o700
        data.prepare(target)


def test_one_backup_at_a_time(stopped: Path, tmp_path: Path) -> None:
    with state.lock(state.BACKUP_LOCK), pytest.raises(Unusable, match="Another backup"):
        back_up(tmp_path / "copy")


def test_data_that_somebody_elses_server_uses_is_refused(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_LAST_BREATH", 0.05)
    with (stopped / data.LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unusable, match="in use by another server"):
            back_up(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_nothing_is_left_of_a_copy_that_the_disk_has_no_room_for(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(folder_copy, "_cloned", lambda original, copy: False)
    monkeypatch.setattr(data, "free", lambda folder: data.FLOOR - 1)
    for target in (tmp_path / "new", tmp_path / "empty"):
        with pytest.raises(FileTrouble, match="The disk is full"):
            back_up(target)
    assert names(tmp_path) == ["data", "empty", "state"]
    assert names(tmp_path / "empty") == []


def test_a_server_stopped_in_the_middle_makes_no_backup(
    home: Path, fake_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(WRITES)
    ensure_running(Quiet(), 30)
    update = FolderCopy.update

    def stopping(self: FolderCopy) -> None:
        update(self)
        if stands_still(server_process()):
            stop(5)

    monkeypatch.setattr(FolderCopy, "update", stopping)
    with pytest.raises(Unreachable, match="Try again"):
        back_up(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert status().state is State.STOPPED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_server_goes_on_whatever_ends_the_backup(
    home: Path, fake_server: FakeServer, tmp_path: Path, number: signal.Signals
) -> None:
    fake_server(WRITES)
    ensure_running(Quiet(), 30)
    target = tmp_path / "copy"
    command = [sys.executable, "-c", SLOW, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as making:
        assert making.stdout and making.stderr
        assert making.stdout.readline() == "suspended\n"
        assert stands_still(server_process())
        assert "stands still while a backup is made" in status().detail
        making.send_signal(signal.SIGTSTP)  # Ctrl-Z, which must not leave the server as it is
        making.send_signal(number)
        said = making.stderr.read()
    assert until(lambda: status().state is State.RUNNING)
    if number == signal.SIGKILL:
        assert making.returncode == -signal.SIGKILL
        with pytest.raises(Unusable, match="holds other files"):
            data.prepare(target)
        with pytest.raises(Unusable, match="never finished"):
            back_up(target)
    else:
        assert (making.returncode, said) == (130, "streamcli: Interrupted.\n")
        assert not target.exists()


def test_the_command_says_what_was_copied(stopped: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*STREAMCLI, "server", "backup", *arguments]
        return subprocess.run(command, env=os.environ, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    done = run("copy")
    assert done.stdout == f"The backup is in {tmp_path / 'copy'}: 0 MB. The server does not run.\n"
    assert done.returncode == 0
    again = run("copy")
    assert again.returncode == 78
    assert again.stderr == (
        f"streamcli: {tmp_path / 'copy'} holds other files (format). Name an empty folder, or a new one.\n"
    )
    assert (run("").returncode, run().returncode, run(str(stopped / "x")).returncode) == (64, 64, 64)
