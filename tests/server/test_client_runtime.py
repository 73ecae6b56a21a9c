"""What a client of the log gets to start its JVM with, and how the archive of its classes comes to be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamcli.errors import Unusable
from streamcli.java import archive, client, jars, which
from streamcli.java.jar_lock import LOCK_FILE, read_lock
from streamcli.server import Quiet
from tests.server.conftest import Heard, Repository, fake_java, until

_RELEASE = 'IMPLEMENTOR="x"\nJAVA_VERSION="{}"\nOS_NAME="Linux"\n'


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    java = fake_java(tmp_path / "java")
    monkeypatch.setenv(which.VARIABLE, str(java))
    return java


@pytest.fixture
def cache(java: Path, repository: Repository, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client's jars in a cache of their own, from a lock file in which two of five are the client's."""
    lock, folder = repository.lock(tmp_path / "lock"), tmp_path / "jars"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join(line + " client" * (":bee:" in line or ":dog:" in line) for line in lines))
    ensure, needed = jars.ensure_jars, jars.needed
    monkeypatch.setattr(client, "default_folder", lambda: folder)
    monkeypatch.setattr(client, "needed", lambda client: needed(lock, client))
    monkeypatch.setattr(client, "ensure_jars", lambda progress, client: ensure(progress, lock, folder, client))
    client.client_runtime(heard)
    return folder


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The lists that an archive was to be built from; no Java is started."""
    lists: list[bytes] = []

    def build_later(java: Path, jars: list[Path], classes: bytes, cwd: Path, where: str) -> bool:
        lists.append(classes)
        return True

    monkeypatch.setattr(archive, "build_later", build_later)
    return lists


def test_only_the_clients_jars_are_fetched_and_the_rest_when_the_server_needs_it(
    cache: Path, repository: Repository, tmp_path: Path, heard: Heard
) -> None:
    assert sorted(repository.asked) == ["bee-1.0.jar", "dog-1.0.jar"]
    total = sum(len(repository.files[name]) for name in repository.asked)
    assert heard.bytes[-1] == (total, total)
    runtime = client.client_runtime(heard)
    assert runtime.classpath == [str(cache / "bee-1.0.jar"), str(cache / "dog-1.0.jar")]
    assert runtime.jvm.name.startswith("libjvm.")
    jars.ensure_jars(heard, tmp_path / "lock", cache)
    assert sorted(repository.asked) == sorted(repository.files)


def test_the_clients_part_of_the_real_lock_file() -> None:
    wanted = [jar for jar in read_lock(LOCK_FILE) if jar.client]
    assert len(wanted) == 31
    assert {"pravega-client", "grpc-netty-shaded", "slf4j-api"} <= {jar.artifact for jar in wanted}
    assert sum(jar.size for jar in wanted) < 22e6


@pytest.mark.parametrize(("release", "flags"), [("17.0.9", 0), ("21.0.8", 0), ("24", 2), ("25.0.2", 2), (None, 0)])
def test_a_later_java_gets_the_flags_it_wants(java: Path, release: str | None, flags: int) -> None:
    if release:
        (java.parent.parent / "release").write_text(_RELEASE.format(release))
    assert len(which.version_flags(java)) == flags


def test_each_process_lists_its_classes_in_a_file_of_its_own(cache: Path) -> None:
    (listing,) = [flag for flag in client.client_runtime(Quiet()).flags if "Class" in flag]
    assert listing.startswith(f"-XX:DumpLoadedClassList={cache}/classes-") and listing.endswith(".%p.loaded")


def test_the_archive_is_used_when_it_is_there(cache: Path, java: Path) -> None:
    found = archive.archive_path(java, [cache / "bee-1.0.jar", cache / "dog-1.0.jar"])
    found.touch()
    flags = client.client_runtime(Quiet()).flags
    assert f"-XX:SharedArchiveFile={found}" in flags
    assert not [flag for flag in flags if "DumpLoadedClassList" in flag]


def test_the_list_of_one_connected_run_makes_the_archive_and_those_of_the_dead_go(
    cache: Path, java: Path, built: list[bytes]
) -> None:
    target = archive.archive_path(java, [cache / "bee-1.0.jar", cache / "dog-1.0.jar"])
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    whole = b"java/lang/Object\n" + client._CONNECTED[0] + b"\n"
    of_the_dead, of_the_living = (cache / f"{target.stem}.pid{pid}.loaded" for pid in (ended.pid, os.getpid()))
    of_the_dead.write_bytes(b"java/lang/Object\n")
    of_the_living.write_bytes(whole[:-3])
    client.make_archive_later()
    assert built == [] and not of_the_dead.exists() and of_the_living.exists()
    of_the_living.write_bytes(whole)
    client.make_archive_later()
    assert built == [whole] and not of_the_living.exists()


def test_a_list_is_cut_to_whole_lines_and_two_do_not_build_at_once(cache: Path, java: Path) -> None:
    found = [cache / "bee-1.0.jar", cache / "dog-1.0.jar"]
    go = cache / "go"
    os.mkfifo(go)
    java.write_text('#!/bin/sh\ncat *.lst >seen\nread x <go\nfor f in *.lst; do touch "${f%lst}new"; done\n')
    assert archive.build_later(java, found, b"a\nb\nc", cache, ".")
    assert not archive.build_later(java, found, b"x\n", cache, ".")
    go.write_text("\n")
    assert until(archive.archive_path(java, found).exists)
    assert (cache / "seen").read_bytes() == b"a\nb\n"
    assert until(lambda: not list(cache.glob("*.lst")) and not list(cache.glob("*.lock")))
    assert not archive.build_later(java, found, b"x\n", cache, ".")


def test_a_colon_in_the_folders_name_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    odd = tmp_path / "a:b"
    odd.mkdir()
    monkeypatch.setattr(client, "ensure_jars", lambda progress, client: [odd / "bee.jar"])
    with pytest.raises(Unusable, match="has a colon"):
        client.client_runtime(Quiet())


def test_a_java_below_the_home_of_nobody_here_is_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(which.VARIABLE, "~nobody-has-this-name/java")
    with pytest.raises(Unusable, match="STREAMCLI_JAVA names ~nobody-has-this-name/java, which is no program"):
        which.java()
