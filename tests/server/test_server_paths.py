"""Folders with any name, in any locale: the data lies where it says, and the server finds it again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streamcli.cli import server
from streamcli.errors import CannotCreate, Unusable, UsageError
from streamcli.java import archive, jars
from streamcli.java.which import java
from streamcli.server import Quiet, credentials, data, launch, parts
from streamcli.server.state import Ports, ServerOptions
from tests.environment import STREAMCLI, make_home
from tests.server.conftest import fake_java

NASTY = "jürgen ü 日%p%20#!=\\u0041 \"x&<y':,;*${a}\n z "


def _copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _copied_cache(folder: Path) -> None:
    """Put the jars, and the archive of the classes if there is one, below ``folder``."""
    found = jars.ensure_jars(Quiet())
    cached = archive.archive_path(java(), found)
    target = folder / "streamcli" / "jars" / found[0].parent.name
    target.mkdir(parents=True)
    for path in (*found, found[0].with_name("verified"), *([cached] if cached.exists() else [])):
        _copy(path, target / path.name)


@pytest.mark.real
@pytest.mark.timeout(240)
def test_any_folder_name_and_the_locale_c(home: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    own = base / NASTY
    env = make_home(own)
    del env["LANG"]
    env |= {"LC_ALL": "C", "XDG_CACHE_HOME": str(own / ".cache"), "TMPDIR": str(own / "tmp")}
    # As on macOS, where state and data have one folder.
    env |= {"XDG_STATE_HOME": str(own / "its, data"), "XDG_DATA_HOME": str(own / "its, data")}
    _copied_cache(own / ".cache")

    def run(*arguments: str) -> str:
        done = subprocess.run([*STREAMCLI, *arguments], env=env, capture_output=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.decode()

    folder = own / "its, data/streamcli/server"
    try:
        run("server", "start", "--timeout", "60", "--data-dir", str(folder))
        run("send", "--id", "tim", "still here")
        run("server", "stop")
        run("server", "start", "--timeout", "60")
        assert "still here" in run("tail", "--last", "5", "--no-follow", "--id", "tim")
    finally:
        run("server", "stop")
    assert [path.name for path in base.iterdir()] == [NASTY]
    assert {path.name for path in own.iterdir()} <= {"tmp", ".cache", "its, data"}
    for part in data.PARTS:
        assert any(path.is_file() for path in (folder / part).rglob("*")), part
    assert {path.name for path in (folder / "log").iterdir()} >= {"console.log", "server.log"}
    assert not (folder / "logs").exists()


def test_no_configuration_holds_a_path_of_the_persons(home: Path, tmp_path: Path) -> None:
    home.mkdir(parents=True)
    secret = credentials.ensure()
    parts.write_files(home, Ports(), ServerOptions(), secret)
    texts = [path.read_text() for path in home.iterdir() if path.is_file()]
    assert not [
        text for text in (*texts, *parts.properties(Ports(), ServerOptions(), secret).values()) if str(tmp_path) in text
    ]


def test_data_of_an_earlier_version_keeps_its_absolute_path(home: Path, tmp_path: Path) -> None:
    home.mkdir(parents=True)
    folder = tmp_path / "old"
    (folder / "ledgers" / "current").mkdir(parents=True)
    (home / parts.DATA).symlink_to(folder)
    (folder / "ledgers" / "current" / "VERSION").write_text(f'ledgerDirs: "1\t{folder}/ledgers"\n')
    parts.write_files(home, Ports(), ServerOptions(), credentials.ensure())
    assert f"journalDirectories={folder}/journal\n" in (home / "bookie.properties").read_text()


def test_a_data_folder_whose_data_is_elsewhere_is_refused(tmp_path: Path) -> None:
    data.prepare(tmp_path / "data")
    (tmp_path / "data" / data.FORMAT).touch()
    with pytest.raises(Unusable, match="its data is not there"):
        data.prepare(tmp_path / "data")


def test_a_folder_for_what_is_not_kept_is_a_usage_error(home: Path) -> None:
    with pytest.raises(UsageError, match="give only one of them"):
        server.chosen(in_memory=True, data_dir=str(home / "data"), no_auth=False)


def test_an_empty_data_dir_is_a_usage_error(home: Path) -> None:
    with pytest.raises(UsageError, match="--data-dir is empty"):
        server.chosen(False, "", False)
    env, current = make_home(home / "person"), home / "current"
    current.mkdir()
    start = [*STREAMCLI, "server", "start", "--data-dir", ""]
    done = subprocess.run(start, env=env, cwd=current, capture_output=True, text=True)
    assert done.returncode == 64 and "--data-dir" in done.stderr and done.stderr.count("\n") == 1
    assert not list(current.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes no such name")
def test_a_name_that_is_not_utf8_is_refused_in_one_line(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"b\xff")
    with pytest.raises(Unusable, match=r"b\\xff/data has a name that is not UTF-8"):
        launch.launch(
            fake_java(tmp_path / "java"), [tmp_path / "a.jar"], Ports(), ServerOptions(data=str(folder / "data"))
        )
    assert not folder.exists()


def test_a_relative_data_dir_in_a_deleted_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(CannotCreate, match="--data-dir rel is relative to the current folder, which no longer exists"):
        server.chosen(False, "rel", False)
