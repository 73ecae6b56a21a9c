"""Fetching the server's jars: what is kept, what is refused, and what is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamcli.errors import CannotCreate, FileTrouble, Unreachable, Unusable
from streamcli.java.jar_lock import LOCK_FILE, read_lock
from streamcli.java.jars import ensure_jars
from streamcli.java.progress import Quiet
from tests.certificates import Authority
from tests.server.conftest import Heard, Repository, until

_PROGRAM = """\
import resource, signal, sys
from pathlib import Path
from streamcli.errors import StreamcliError
from streamcli.java.jars import ensure_jars
from streamcli.java.progress import Lines
limit = int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    ensure_jars(Lines(sys.stderr), Path(sys.argv[1]), Path(sys.argv[2]))
except StreamcliError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    sys.exit(130)
"""


def start(lock: Path, folder: Path, limit: int = 0) -> subprocess.Popen[str]:
    """Fetch in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(lock), str(folder), str(limit)], stderr=subprocess.PIPE, text=True
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.jar")}


def test_all_are_fetched_once_in_the_lock_files_order(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    lock = repository.lock(tmp_path / "lock")
    jars = ensure_jars(heard, lock, tmp_path / "jars")
    assert [jar.name for jar in jars] == list(repository.files)
    assert [jar.read_bytes() for jar in jars] == list(repository.files.values())
    total = sum(map(len, repository.files.values()))
    assert heard.bytes[-1] == (total, total)
    assert [done for done, _ in heard.bytes] == sorted(done for done, _ in heard.bytes)
    assert ensure_jars(heard, lock, tmp_path / "jars") == jars
    assert sorted(repository.asked) == sorted(repository.files)
    assert not list((tmp_path / "jars").glob("partial-*"))


def test_a_wrong_checksum_is_refused_by_name(repository: Repository, tmp_path: Path) -> None:
    lock = repository.lock(tmp_path / "lock", cat="0" * 64)
    with pytest.raises(FileTrouble, match=r"cat-1\.0\.jar was refused.*SHA-256"):
        ensure_jars(Quiet(), lock, tmp_path / "jars")
    assert "cat-1.0.jar" not in names(tmp_path / "jars")


def test_a_torso_in_the_cache_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    lock = repository.lock(tmp_path / "lock")
    jars = ensure_jars(Quiet(), lock, tmp_path / "jars")
    jars[1].write_bytes(b"bee")
    repository.asked.clear()
    ensure_jars(Quiet(), lock, tmp_path / "jars")
    assert jars[1].read_bytes() == repository.files["bee-1.0.jar"]
    assert repository.asked == ["bee-1.0.jar"]


def test_another_lock_file_means_verifying_anew(repository: Repository, tmp_path: Path) -> None:
    jars = ensure_jars(Quiet(), repository.lock(tmp_path / "lock"), tmp_path / "jars")
    changed = repository.files["bee-1.0.jar"].swapcase()
    repository.files["bee-1.0.jar"] = changed
    ensure_jars(Quiet(), repository.lock(tmp_path / "lock"), tmp_path / "jars")
    assert jars[1].read_bytes() == changed


@pytest.mark.parametrize("failure", ["503", "drop"])
def test_a_passing_fault_of_the_network_is_retried(repository: Repository, tmp_path: Path, failure: str) -> None:
    repository.failures["dog-1.0.jar"] = [failure]
    ensure_jars(Quiet(), repository.lock(tmp_path / "lock"), tmp_path / "jars")
    assert repository.asked.count("dog-1.0.jar") == 2


def test_a_lasting_fault_ends_after_three_attempts_and_keeps_the_rest(repository: Repository, tmp_path: Path) -> None:
    repository.failures["dog-1.0.jar"] = ["503"] * 9
    with pytest.raises(Unreachable, match=r"dog-1\.0\.jar"):
        ensure_jars(Quiet(), repository.lock(tmp_path / "lock"), tmp_path / "jars")
    assert repository.asked.count("dog-1.0.jar") == 3
    assert names(tmp_path / "jars") == set(repository.files) - {"dog-1.0.jar"}


def test_no_network_is_said_in_one_line(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMCLI_MAVEN_URL", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="can't be reached") as caught:
        ensure_jars(Quiet(), repository.lock(tmp_path / "lock"), tmp_path / "jars")
    assert "\n" not in str(caught.value)


def test_a_jar_that_is_not_there_is_said(repository: Repository, tmp_path: Path) -> None:
    lock = repository.lock(tmp_path / "lock")
    del repository.files["dog-1.0.jar"]
    with pytest.raises(Unreachable, match=r"dog-1\.0\.jar could not be fetched: the Maven repository does not have it"):
        ensure_jars(Quiet(), lock, tmp_path / "jars")


def test_a_repository_that_is_not_trusted_is_said(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = repository.lock(tmp_path / "lock")
    authority = Authority(tmp_path / "authority")
    monkeypatch.setenv("STREAMCLI_MAVEN_URL", repository.encrypt(authority))
    with pytest.raises(Unreachable, match="certificate can't be verified"):
        ensure_jars(Quiet(), lock, tmp_path / "jars")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing"))
    with pytest.raises(Unusable, match=r"nothing can't be read: No such file.* REQUESTS_CA_BUNDLE names that file"):
        ensure_jars(Quiet(), lock, tmp_path / "jars")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    ensure_jars(Quiet(), lock, tmp_path / "jars")


def test_an_interrupt_keeps_what_is_finished(repository: Repository, tmp_path: Path) -> None:
    repository.failures["elk-1.0.jar"] = ["hang"]
    lock, folder = repository.lock(tmp_path / "lock"), tmp_path / "jars"
    program = start(lock, folder)
    finished = set(repository.files) - {"elk-1.0.jar"}
    assert until(lambda: names(folder) == finished and "elk-1.0.jar" in repository.asked)
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=10)
    assert program.returncode == 130
    assert names(folder) == finished
    repository.asked.clear()
    ensure_jars(Quiet(), lock, folder)
    assert repository.asked == ["elk-1.0.jar"]


def test_two_processes_fetch_once(repository: Repository, tmp_path: Path) -> None:
    repository.failures["elk-1.0.jar"] = ["hang"]
    lock, folder = repository.lock(tmp_path / "lock"), tmp_path / "jars"
    first = start(lock, folder)
    assert until(lambda: "elk-1.0.jar" in repository.asked)
    second = start(lock, folder)
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    repository.released.set()
    first.communicate(timeout=20)
    second.communicate(timeout=20)
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted(repository.asked) == sorted(repository.files)


def test_a_full_disk_is_said(repository: Repository, tmp_path: Path) -> None:
    program = start(repository.lock(tmp_path / "lock"), tmp_path / "jars", limit=20_000)
    _, said = program.communicate(timeout=20)
    assert program.returncode == 74, said
    assert "disk is full" in said
    assert "Traceback" not in said


def test_a_cache_that_cannot_be_made_is_said(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotCreate, match="file"):
        ensure_jars(Quiet(), repository.lock(tmp_path / "lock"), tmp_path / "file" / "jars")


def test_a_cache_that_cannot_be_written_is_said(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "jars" / "lock").mkdir(parents=True)
    with pytest.raises(FileTrouble, match="jars failed"):
        ensure_jars(Quiet(), repository.lock(tmp_path / "lock"), tmp_path / "jars")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_without_permission_is_said(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir(mode=0o500)
    with pytest.raises(CannotCreate, match="permissions"):
        ensure_jars(Quiet(), repository.lock(tmp_path / "lock"), tmp_path / "jars")


def test_a_broken_lock_file_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("# fine\norg.example:ant:1.0 abc\n")
    with pytest.raises(Unusable, match="Line 2"):
        read_lock(tmp_path / "lock")


def test_the_real_lock_file_is_sound() -> None:
    jars = read_lock(LOCK_FILE)
    assert len({jar.name for jar in jars}) == len(jars)
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)
    assert not [jar.name for jar in jars if jar.artifact in ("rocksdbjni", "bc-fips")]
