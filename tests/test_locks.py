"""File locks: who waits, who does not, and that a lock dies with its holder."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamcli.errors import CannotCreate, FileTrouble
from streamcli.system import locks, private_files
from tests.fake_clock import fake_clock

_HOLDER = """\
import sys, time
from pathlib import Path
from streamcli.system import locks
locks.hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock for as long as it lives."""
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_keeps_others_out_and_dies_with_its_holder(path: Path, holder: subprocess.Popen[str]) -> None:
    assert locks.is_held(path)
    assert locks.try_hold(path) is None
    with locks.asked_for(path, 0) as ours:
        assert not ours
    ending = threading.Timer(0.1, holder.send_signal, [signal.SIGKILL])
    ending.start()
    os.close(locks.hold(path))
    ending.join()
    assert not locks.is_held(path)


def test_a_short_wait_is_worth_it(path: Path) -> None:
    fd = locks.hold(path)
    with locks.locked(path, clock=replace(fake_clock(), sleep=lambda seconds: os.close(fd))):
        assert locks.is_held(path)
    assert not locks.is_held(path)


def test_a_long_wait_ends(path: Path) -> None:
    fd, clock = locks.hold(path), fake_clock()
    with pytest.raises(FileTrouble, match="suspended"), locks.locked(path, clock=clock):
        pass
    assert clock.monotonic() == pytest.approx(locks.WAIT, abs=0.01)
    os.close(fd)


def test_who_looks_keeps_nobody_else_from_looking(path: Path) -> None:
    assert not locks.is_held(path)
    assert not path.exists()
    with path.open("w") as looks:
        fcntl.flock(looks, fcntl.LOCK_SH)
        assert not locks.is_held(path)


def test_a_file_removed_by_its_holder_is_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(file: Path, flags: int) -> int:
        fd = os.open(file, flags | os.O_CREAT, 0o600)
        monkeypatch.undo()
        file.unlink()
        return fd

    monkeypatch.setattr(private_files, "opened", opened)
    fd = locks.hold(path)
    assert os.path.samestat(os.fstat(fd), path.stat())
    os.close(fd)


def test_a_lock_is_private_and_not_inherited(path: Path) -> None:
    old = os.umask(0)
    try:
        fd = locks.hold(path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_lock_without_a_folder_is_said(path: Path) -> None:
    with pytest.raises(CannotCreate, match="Can't create or write"), locks.locked(path / "below"):
        pass
    with pytest.raises(FileNotFoundError):
        locks.hold(path / "below")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    private_files.write(file, "old")
    with file.open() as before:
        private_files.write(file, "new\n")
        assert before.read() == "old"
    assert file.read_text() == "new\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_file_and_folder_are_on_the_disk_before_it_is_said_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, list[str]]] = []

    def fsync(fd: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(fd).st_mode), [one.suffix for one in tmp_path.iterdir()]))

    monkeypatch.setattr(os, "fsync", fsync)
    private_files.write(tmp_path / "state.json", "text")
    assert synced == [(False, [".new"]), (True, [".json"])]
