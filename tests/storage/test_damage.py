"""Files that are damaged, not ours, from another version or not to be had: noticed, in words, set aside, begun anew."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from streamcli.errors import CannotCreate, FileTrouble, Unusable
from streamcli.storage import database
from streamcli.storage.database import Damaged, ensure_private, newest
from streamcli.storage.outbox import Outbox
from streamcli.storage.word_index import WordIndex
from streamcli.system.locks import locked
from tests.fake_clock import fake_clock
from tests.storage.events import PLACE, message, talk
from tests.storage.reading import History

LOG = talk(3000)


def filled(folder: Path) -> Path:
    """The file of a history that holds LOG."""
    with History.open(folder) as history:
        history.begin(PLACE, 0)
        history.store(LOG, PLACE)
        return history.path


def spoil(path: Path, first: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(first)
        file.write(data)


def zero(path: Path) -> None:
    spoil(path, 0, bytes(path.stat().st_size))


def write_text(path: Path) -> None:
    path.write_text("not a database, but quite long " * 1000)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_to_a_page(path: Path) -> None:
    os.truncate(path, 4096)


def garble_the_schema(path: Path) -> None:
    spoil(path, 100, b"\xa5" * 3000)


def garble_all_but_the_first_page(path: Path) -> None:
    spoil(path, 4096, b"\xa5" * (path.stat().st_size - 4096))


def be_another_programs(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE message (a)")
    connection.close()


def lose_the_progress(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM last_event")
    connection.close()


def lose_a_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE message")
    connection.close()


def garble_the_last_message(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE message SET event = x'a5a5' WHERE number = (SELECT max(number) FROM message)")
    connection.close()


DAMAGE = [
    zero,
    write_text,
    halve,
    cut_to_a_page,
    garble_the_schema,
    garble_all_but_the_first_page,
    be_another_programs,
    lose_the_progress,
    lose_a_table,
    garble_the_last_message,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_history_is_noticed_set_aside_and_rebuilt(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = filled(tmp_path)
    damage(path)
    spoilt = path.read_bytes()
    with pytest.raises(Damaged, match="is damaged") as caught:
        History.open(tmp_path)
    assert caught.value.path == path
    assert path.read_bytes() == spoilt, "looking changes nothing"
    history, aside = History.open_anyway(tmp_path)
    with history:
        assert aside is not None and aside.read_bytes() == spoilt
        assert not path.exists()
        assert (history.count, history.progress.position) == (0, 0)
        history.begin(PLACE, 0)
        assert history.store(LOG, PLACE) == [True] * len(LOG)
    history, aside = History.open_anyway(tmp_path)
    with history:
        assert aside is None
        assert history.count == len(LOG)


def test_damage_found_late_is_an_error_and_a_look_at_everything_finds_it_early(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with sqlite3.connect(path) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_message%'"
        ).fetchone()
    connection.close()
    spoil(path, (root - 1) * 4096, b"\xa5" * 4096)
    with History.open(tmp_path) as history:
        assert not history.whole()
        with pytest.raises(Damaged):
            history.knows(event.content for event in LOG)
        with pytest.raises(Damaged):
            history.store(talk(1, 5000)[:1], "")


def test_a_deleted_history_is_begun_anew(tmp_path: Path) -> None:
    filled(tmp_path).unlink()
    history, aside = History.open_anyway(tmp_path)
    with history:
        assert (history.count, history.progress.position, aside) == (0, 0, None)


def test_a_terminal_that_still_has_a_set_aside_file_takes_nothing_from_the_new_one(tmp_path: Path) -> None:
    path = filled(tmp_path)
    old = History.open(tmp_path)
    spoil(path, 4096, b"\xa5" * 4096 * 20)
    history, aside = History.open_anyway(tmp_path)
    assert aside is not None
    history.begin(PLACE, 0)
    history.store(LOG, PLACE)
    old.close()
    assert history.path.with_name(history.path.name + "-wal").exists()
    with History.open(tmp_path) as other:
        assert other.count == len(LOG)
    history.close()


def test_a_wal_that_is_garbage_is_passed_over(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.with_name(path.name + "-wal").write_bytes(os.urandom(100_000))
    with History.open(tmp_path) as history:
        assert history.count == len(LOG)
        assert history.whole()


def test_an_sqlite_without_json_is_said_and_is_no_damage(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(Unusable, match="without JSON"), database.translating_errors(tmp_path):
        connection.execute("SELECT * FROM json_each_of_no_sqlite")
    connection.close()


def test_a_newer_file_is_left_alone_and_said(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Unusable, match="written by a newer streamcli"):
        History.open_anyway(tmp_path)
    assert path.exists()


def test_folders_and_files_are_the_users_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = ensure_private(tmp_path / "data", tmp_path / "data" / "tim" / "logs" / "one")
        with History.open(folder) as history, WordIndex(history.path), Outbox(folder):
            history.begin(PLACE, 0)
            history.store(LOG[:10], PLACE)
            there = {path: path.stat().st_mode & 0o777 for path in [folder, *folder.parents, *folder.rglob("*")]}
    finally:
        os.umask(before)
    mine = {path: mode for path, mode in there.items() if path.is_relative_to(tmp_path / "data")}
    assert len(mine) > 12
    assert {mode for path, mode in mine.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in mine.items() if path.is_file()} == {0o600}


def test_files_and_folders_that_were_opened_to_others_are_closed_again(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    ensure_private(tmp_path.parent, tmp_path)
    History.open(tmp_path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("what", [History.open, Outbox], ids=["history", "outbox"])
def test_a_folder_that_is_a_file_is_said(tmp_path: Path, what: Callable[[Path], object]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotCreate, match="Check who owns it"):
        what(tmp_path / "file" / "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_file_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.chmod(0)
    with pytest.raises(CannotCreate, match="permissions"):
        History.open_anyway(tmp_path)
    assert path.exists(), "it is not damaged"


def test_a_folder_in_the_files_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "history-0000000000000001.db").mkdir()
    with pytest.raises(CannotCreate, match="Check who owns it"):
        History.open_anyway(tmp_path)


def test_a_history_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    filled(tmp_path)
    with History.open(tmp_path) as history:
        history._connection.execute("PRAGMA query_only=1")
        with pytest.raises(CannotCreate, match="permissions"):
            history.store(talk(1, 5000), "")


def test_a_program_that_holds_the_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY", 0.05)  # nobody wants to wait 5 s for a test
    path = filled(tmp_path)
    holder = sqlite3.connect(path, isolation_level=None)
    with History.open(tmp_path) as history:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(FileTrouble, match="Another program holds"):
            history.store(talk(1, 5000), "")
        assert len(history.last(10)) == 10, "reading goes on"
        holder.execute("ROLLBACK")
        assert history.store(talk(1, 5000), "") == [True]
    holder.close()


def test_whoever_holds_the_lock_for_too_long_is_said(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path), pytest.raises(FileTrouble, match="suspended"), locked(path, clock=fake_clock()):
        pass
    with locked(path, 0):
        pass


def test_of_two_files_the_newest_counts(tmp_path: Path) -> None:
    assert newest(tmp_path, "history") != newest(tmp_path, "history"), "a new file's name is never used again"
    for name in ("history-02.db", "history-11.db", "history-99.db.damaged", "other-99.db", "history-0f.db"):
        (tmp_path / name).touch()
    assert newest(tmp_path, "history").name == "history-11.db"


@pytest.mark.parametrize("damage", DAMAGE[:6], ids=lambda damage: damage.__name__)
def test_a_damaged_outbox_is_set_aside_and_said(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.add([message("x" * 100, number) for number in range(500)])
        path = outbox.path
    damage(path)
    with Outbox(tmp_path) as outbox:
        assert outbox.lost is not None and outbox.lost.exists()
        assert outbox.adopt() == []
        outbox.add([message("on we go", 1)])
    with Outbox(tmp_path) as outbox:
        assert outbox.lost is None
        assert [entry.text() for entry in outbox.adopt()] == ["on we go"]


def test_an_outbox_with_one_bad_row_is_damaged(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.add([message("a", 1), message("b", 2)])
        outbox._connection.execute("UPDATE entry SET event = x'7b' WHERE number = 2")
    with Outbox(tmp_path) as outbox:
        assert outbox.lost is not None


def test_a_damaged_outbox_that_another_terminal_uses_stays_where_it_is(tmp_path: Path) -> None:
    with Outbox(tmp_path) as one:
        one.add([message("x" * 100, number) for number in range(500)])
        one._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        write_text(one.path)
        with pytest.raises(Damaged):
            Outbox(tmp_path)
        assert one.path.exists()
        assert [path.name for path in (tmp_path / "terminals").iterdir()] == [one.terminal]


def test_an_outbox_deleted_under_a_running_terminal_takes_nothing_more(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.path.unlink()
        with pytest.raises(Damaged, match="deleted or replaced"):
            outbox.add([message("a", 1)])


@pytest.mark.parametrize("damage", [*DAMAGE[:6], Path.unlink], ids=lambda damage: damage.__name__)
def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = filled(tmp_path)
    with WordIndex(path) as words:
        words.index_some(2000)
        spoilt = words.path
    damage(spoilt)
    with WordIndex(path) as words:
        while words.index_some():
            pass
        assert len(words.search("message", 5000).messages) == len(LOG)
        assert len(list(tmp_path.glob("words*.db"))) == 1


def test_an_index_damaged_in_use_is_made_anew(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with WordIndex(path) as words:
        words.index_some(2000)
    with WordIndex(path) as words:
        spoil(words.path, 4096, b"\xa5" * (words.path.stat().st_size - 4096))
        assert words.search("message", 5000).behind == len(LOG)
        while words.index_some():
            pass
        assert len(words.search("message", 5000).messages) == len(LOG)
