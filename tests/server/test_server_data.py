"""Data folder, free space, options and back-off, where what counts is our side; no Pravega runs here."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from streamcli.cli import server
from streamcli.errors import CannotCreate, FileTrouble, Unreachable, Unusable
from streamcli.model.address import Login
from streamcli.server import (
    CrashRestarter,
    Quiet,
    ServerOptions,
    State,
    credentials,
    data,
    ensure_running,
    state,
    status,
)
from streamcli.system.clock import SYSTEM
from tests.fake_clock import fake_clock
from tests.server.conftest import Heard, until

FakeServer = Callable[[str], Path]
GB = 1_000_000_000


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Say how many bytes are free."""
    return lambda free: monkeypatch.setattr(data, "free", lambda folder: free)


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    for folder in (tmp_path / "new", tmp_path / "shared"):
        data.prepare(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {one.name for one in folder.iterdir()} == set(data.PARTS)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    before = stat.S_IMODE(tmp_path.stat().st_mode)
    with pytest.raises(Unusable, match="holds other files"):
        data.prepare(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == before


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotCreate):
        data.prepare(tmp_path / "file")


def test_a_locked_folder_is_said_if_it_stays_locked(tmp_path: Path) -> None:
    clock = fake_clock()
    data.prepare(tmp_path)
    with (tmp_path / data.LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unusable, match="in use by another server"):
            data.prepare(tmp_path, clock)
        assert clock.monotonic() == pytest.approx(3.0, abs=0.1)
        data.prepare(tmp_path, replace(clock, sleep=lambda seconds: fcntl.flock(held, fcntl.LOCK_UN)))


def test_a_full_disk_is_said_before_a_start(home: Path, room: Callable[[int], None], fake_server: FakeServer) -> None:
    starts = fake_server("serve()")
    room(data.FLOOR - 1)
    with pytest.raises(FileTrouble, match="disk is full"):
        ensure_running(Quiet(), 30)
    assert not starts.exists()
    assert status().state is State.ABSENT


def test_a_disk_that_runs_full_is_said_while_it_works(
    home: Path, room: Callable[[int], None], fake_server: FakeServer, heard: Heard
) -> None:
    fake_server("serve()")
    room(data.LOW - 1)
    ensure_running(heard, 30)
    assert [stage for stage in heard.stages if "only 500 MB are left" in stage]
    again = Heard()
    ensure_running(again, 30)
    assert [stage for stage in again.stages if "only 500 MB are left" in stage]
    out = io.StringIO()
    assert server.run("status", 1, out, io.StringIO()) == 0
    assert "The disk runs full: only 500 MB are left" in out.getvalue()
    room(5 * GB)
    out = io.StringIO()
    server.run("status", 1, out, io.StringIO())
    assert "5.0 GB free" in out.getvalue()


def test_credentials_are_made_once_and_shown_to_nobody(home: Path) -> None:
    first = credentials.ensure()
    assert credentials.ensure() == first
    assert stat.S_IMODE(credentials.path().stat().st_mode) == 0o600
    assert len({first.password, first.signing_key, first.zookeeper}) == 3
    assert not [secret for secret in vars(first).values() if secret in repr(first) + repr(first.login)]
    credentials.path().write_text("{")
    assert credentials.read() is None


def test_the_server_hashes_the_password_with_one_round() -> None:
    name, hashed, rights = credentials.account_line(Login("tim", "secret")).split(":", 2)
    rounds, salt, digest = bytes.fromhex(hashed).decode().split(":")
    assert (name, rounds, rights) == ("tim", "1", "prn::*,READ_UPDATE;\n")
    assert digest == hashlib.pbkdf2_hmac("sha256", b"secret", bytes.fromhex(salt), 1, 64).hex()


def test_what_is_not_said_is_the_default_but_the_folder_is_remembered(home: Path, tmp_path: Path) -> None:
    assert server.chosen(False, None, False) == ServerOptions()
    home.mkdir(parents=True)
    chosen = server.chosen(False, str(tmp_path), True)
    assert chosen == ServerOptions(data=str(tmp_path), auth=False)
    state.write(state.Record(state.STOPPED, 1, 1.0, state.Ports(), 1.0, chosen))
    assert state.remembered() == chosen
    assert server.chosen(True, None, False) == ServerOptions(durable=False, data=str(tmp_path))
    assert server.chosen(False, None, False) == ServerOptions(data=str(tmp_path))


def crashed(fake_server: FakeServer) -> Path:
    starts = fake_server("serve() if first else sys.exit('Error: no more')")
    ensure_running(Quiet(), 30)
    kill()
    return starts


def kill() -> None:
    record = state.read()
    assert record
    os.kill(record.pid, 9)
    assert until(lambda: not record.alive)


def test_a_crashed_server_is_started_again_with_back_off(home: Path, fake_server: FakeServer) -> None:
    starts, clock = crashed(fake_server), [0.0]
    watch = CrashRestarter(30, replace(SYSTEM, monotonic=lambda: clock[0]))
    pauses = []
    for attempt in range(4):
        begun = time.monotonic()
        assert watch.look(0.02).state is State.STARTING
        assert time.monotonic() - begun < 0.5  # it waits for nothing
        assert until(lambda: len(starts.read_text()) == attempt + 2)  # noqa: B023
        assert until(lambda: "Starting it again in" in watch.look(0.02).detail)
        said = watch.look(0.02)
        assert said.state is State.CRASHED
        assert "no more" in said.detail
        pauses.append(float(said.detail.rpartition(" in ")[2].split()[0]))
        clock[0] += pauses[-1]
    assert pauses == [1, 2, 4, 8]


def test_who_starts_it_after_a_stop_gets_a_durable_one_with_a_password(home: Path, fake_server: FakeServer) -> None:
    fake_server("serve()")
    tried = ServerOptions(durable=False, auth=False)
    ensure_running(Quiet(), 30, tried)
    kill()
    ensure_running(Quiet(), 30)
    assert state.remembered() == tried, "after a crash it is as it was"
    server.run("stop", 5, io.StringIO(), io.StringIO())
    ensure_running(Quiet(), 30)
    assert state.remembered() == ServerOptions()


def test_one_stopped_on_purpose_is_left_alone(home: Path, fake_server: FakeServer) -> None:
    starts = fake_server("serve()")
    ensure_running(Quiet(), 30)
    server.run("stop", 5, io.StringIO(), io.StringIO())
    watch = CrashRestarter(30)
    for _ in range(5):
        assert watch.look(0.02).state is State.STOPPED
    for thread in threading.enumerate():
        if thread.name == "start the server":
            thread.join()  # one that starts it would not end before it runs
    assert starts.read_text() == "x"


def test_a_crash_while_it_starts_is_said(home: Path, fake_server: FakeServer) -> None:
    fake_server("sys.exit('Error: the data folder X is in use by another server')")
    with pytest.raises(Unreachable, match="in use by another server"):
        ensure_running(Quiet(), 30)


def test_the_lock_of_one_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    data.prepare(tmp_path)
    held = (tmp_path / data.LOCK).open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    ending = threading.Timer(0.3, held.close)
    ending.start()
    data.prepare(tmp_path)
    ending.join()
