"""Backups of a real server: made under load, started elsewhere, and older than what somebody has read."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamcli.model.address import Login
from tests.conftest import Server, Tell, eventually, start_server
from tests.environment import STREAMCLI, make_home
from tests.raw import Raw
from tests.server import kills

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


def secrets(server: Server) -> dict[str, str]:
    folder = Path(server.env["HOME"]) / ".local/state/streamcli/server"
    found: dict[str, str] = json.loads((folder / "credentials.json").read_text())
    return found


def client(server: Server) -> Raw:
    return Raw(server.url, "load", login=Login("streamcli", secrets(server)["password"]))


def run(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*STREAMCLI, *arguments], env=server.env, capture_output=True, text=True, timeout=90)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@contextmanager
def load(server: Server) -> Iterator[list[int]]:
    """Somebody writes one numbered event after another; the list's last number says how many are acknowledged."""
    acknowledged, ended = [0], threading.Event()
    with client(server) as raw:

        def write() -> None:
            while not ended.wait(0.002):
                raw.write((b"%09d" % acknowledged[-1]).ljust(kills.SIZE))
                acknowledged.append(acknowledged[-1] + 1)

        writing = threading.Thread(target=write)
        writing.start()
        try:
            yield acknowledged
        finally:
            ended.set()
            writing.join()


def written(server: Server) -> list[int]:
    with client(server) as raw:
        return [int(event[:9]) for event in raw.events()]


def test_what_was_acknowledged_before_a_backup_under_load_is_there_elsewhere(tmp_path: Path, tell: Tell) -> None:
    mine = start_server(make_home(tmp_path / "mine"), "--data-dir", str(tmp_path / "data"))
    theirs = None
    try:
        with load(mine) as acknowledged:
            eventually(lambda: acknowledged[-1] >= 500)
            before = acknowledged[-1]
            done = run(mine, "server", "backup", str(tmp_path / "copy"))
            after = acknowledged[-1]
            eventually(lambda: acknowledged[-1] >= after + 100)  # the server goes on
        assert done.returncode == 0, done.stderr
        pause = re.search(r": (\d+ MB)\. The server paused for (\d+ ms)\.$", done.stdout)
        assert pause, done.stdout
        tell(f"backup of {pause[1]}: paused for {pause[2]}; {before:,} messages before, {after - before:,} meanwhile")

        for path in (tmp_path / "copy").rglob("*"):
            assert path.stat().st_mode & 0o077 == 0, path
            if path.is_file():
                content = path.read_bytes()
                assert not [one for one in secrets(mine).values() if one.encode() in content], path

        # Another person's, beside the first one: other secrets, other ports.
        theirs = start_server(make_home(tmp_path / "theirs"), "--data-dir", str(tmp_path / "copy"))
        assert secrets(theirs) != secrets(mine)
        copied = written(theirs)
        kills.check([range(before)], copied)
        assert len(copied) <= after + 1
        with client(theirs) as raw:
            raw.write((b"%09d" % 999_999_999).ljust(kills.SIZE))
        assert written(theirs) == [*copied, 999_999_999]
        kills.check([range(acknowledged[-1])], written(mine))
    finally:
        mine.stop()
        if theirs:
            theirs.stop()


def test_a_backup_older_than_what_was_read_is_another_log(tmp_path: Path) -> None:
    server = start_server(make_home(tmp_path / "home"), "--data-dir", str(tmp_path / "data"))
    copy = str(tmp_path / "copy")

    def history(name: str) -> tuple[list[str], str]:
        done = run(server, "history", "--id", name)
        assert done.returncode == 0, done.stderr
        return re.findall(r"alex: (.*)", done.stdout), done.stderr

    try:
        run(server, "send", "--id", "alex", "before")
        assert history("bob")[0] == ["before"]
        assert run(server, "server", "backup", copy).returncode == 0
        run(server, "send", "--id", "alex", "after")
        assert history("tim")[0] == ["before", "after"]
        server.stop()
        start_server(server.env, "--data-dir", copy)
        run(server, "send", "--id", "alex", "a longer one than before")
        said = "This is another log than before: it was made anew, or restored from an older copy."
        lines, told = history("tim")
        assert (lines, said in told) == (["before", "a longer one than before"], True)
        for name in ("tim", "bob"):  # bob has read nothing that the copy does not hold
            assert history(name) == (["before", "a longer one than before"], "")
    finally:
        server.stop()
