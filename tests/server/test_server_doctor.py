"""What `doctor` says about Java and the jars."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamcli.cli import doctor
from streamcli.errors import Unusable
from streamcli.java import jars
from streamcli.java.progress import Quiet
from tests.server.conftest import Repository


@pytest.fixture
def folder(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A complete folder of small jars, which is the one that `doctor` looks at."""
    lock, folder = repository.lock(tmp_path / "lock"), tmp_path / "jars"
    jars.ensure_jars(Quiet(), lock, folder)
    monkeypatch.setattr(doctor, "needed", lambda client: jars.needed(lock, client))
    monkeypatch.setattr(doctor, "default_folder", lambda: folder)
    return folder


@pytest.mark.parametrize("size", [0, 100])
def test_a_jar_that_is_cut_is_not_here_and_is_fetched_again(
    folder: Path, size: int, repository: Repository, tmp_path: Path
) -> None:
    assert doctor._jars(client=False).text.startswith("all 5 are here")
    cut = folder / "cat-1.0.jar"
    cut.write_bytes(cut.read_bytes()[:size])
    assert "4 of 5 are here; the next start fetches the rest" in doctor._jars(client=False).text
    repository.asked.clear()
    jars.ensure_jars(Quiet(), tmp_path / "lock", folder)
    assert repository.asked == [cut.name]
    assert doctor._jars(client=False).text.startswith("all 5 are here")


def test_a_damaged_jar_of_the_right_size_is_named(folder: Path) -> None:
    damaged = folder / "cat-1.0.jar"
    damaged.write_bytes(bytes(damaged.stat().st_size))
    with pytest.raises(Unusable, match=f"{damaged} is damaged. Delete it"):
        doctor._jars(client=False)


@pytest.mark.real
def test_java_is_not_blamed_for_a_deleted_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "17." in doctor._java().text
