"""Where histories and outboxes lie: apart for each user, log and address, whatever the names are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamcli.errors import CannotCreate
from streamcli.model.address import Controller, Stream
from streamcli.storage.directories import Places, address_key, new_log_id
from streamcli.system.paths import MAX_PART, data_dir, folder_name
from tests.storage.processes import Process, Say

EMBEDDED = address_key(None, Stream())
ELSEWHERE = address_key(Controller("127.0.0.1", 9090), Stream("s", "t"))


def test_an_address_is_named_so_that_a_person_can_read_it() -> None:
    assert EMBEDDED == "embedded scope/stream"
    assert ELSEWHERE == "tcp://127.0.0.1:9090 s/t"


def test_the_log_last_seen_behind_an_address_is_known_at_the_next_start(tmp_path: Path) -> None:
    assert Places("tim", tmp_path / "data").log_at(EMBEDDED) is None
    Places("tim", tmp_path / "data").remember(EMBEDDED, "a")
    Places("tim", tmp_path / "data").remember(ELSEWHERE, "b")
    Places("tim", tmp_path / "data").remember(EMBEDDED, "c")
    places = Places("tim", tmp_path / "data")
    assert (places.log_at(EMBEDDED), places.log_at(ELSEWHERE)) == ("c", "b")
    assert Places("tom", tmp_path / "data").log_at(EMBEDDED) is None
    names = {path.name for path in (tmp_path / "data" / "tim").iterdir()}
    assert names == {"addresses.json", "addresses.lock"}


def test_two_terminals_that_remember_at_once_forget_nothing(tmp_path: Path) -> None:
    def remember(say: Say, first: int) -> None:
        for number in range(first, first + 40):
            Places("tim", tmp_path).remember(f"address {number}", str(number))

    with Process(lambda say: remember(say, 0)) as one, Process(lambda say: remember(say, 40)) as other:
        assert (one.code(), other.code()) == (0, 0)
    places = Places("tim", tmp_path)
    assert [places.log_at(f"address {number}") for number in range(80)] == [str(number) for number in range(80)]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', "[" * 100_000, "\ud800"])
def test_a_damaged_list_of_addresses_is_an_empty_one(tmp_path: Path, text: str) -> None:
    places = Places("tim", tmp_path)
    places.remember(EMBEDDED, "a")
    (tmp_path / "tim" / "addresses.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert places.log_at(EMBEDDED) is None
    assert places.log_at("a") is None
    places.remember(EMBEDDED, "b")
    assert places.log_at(EMBEDDED) == "b"


def test_a_list_of_addresses_that_can_t_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "tim").touch()
    with pytest.raises(CannotCreate):
        Places("tim", tmp_path).remember(EMBEDDED, "a")


def test_each_has_a_folder_of_its_own_inside(tmp_path: Path) -> None:
    root = tmp_path / "data"
    logs = ["a", "A", "a/b", "..", ".", "", "/etc", "ä", "x" * 300, "x" * 301, "X" * 300]
    folders = [Places(user, root).history(log) for user in ["tim", "Tim", "../tim"] for log in logs]
    folders += [Places("tim", root).outbox(address) for address in [EMBEDDED, ELSEWHERE]]
    assert len({str(folder).lower() for folder in folders}) == len(folders)
    for folder in folders:
        assert folder.is_dir()
        assert len(folder.relative_to(root).parts) == 3
        assert root.resolve() in folder.resolve().parents


@given(st.text(max_size=120), st.text(max_size=120))
@example("A", "a")
@example("x" * 300, "x" * 301)
def test_folder_names_differ_where_texts_differ(one: str, other: str) -> None:
    assert (folder_name(one).lower() == folder_name(other).lower()) == (one == other)
    assert 0 < len(folder_name(one)) <= MAX_PART


def test_a_log_without_an_id_gets_one_that_no_other_has() -> None:
    assert new_log_id() != new_log_id()
    assert folder_name(new_log_id()).startswith("own-")


def test_the_data_folder_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_dir().is_relative_to(tmp_path)
