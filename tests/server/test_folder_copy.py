"""Copying a folder that changes: what the last call finds unchanged, and nobody else can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamcli.errors import FileTrouble
from streamcli.server import data, folder_copy
from streamcli.server.folder_copy import FolderCopy
from streamcli.system.clock import SYSTEM

MB = 1 << 20
LATER = replace(SYSTEM, time_ns=lambda: SYSTEM.time_ns() + 10 * 10**9)  # all files were changed long ago


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "a" / "deep").mkdir(parents=True)
    (source / "b").mkdir()
    (source / "a" / "deep" / "one").write_bytes(b"1" * 3 * MB)
    (source / "a" / "two").write_bytes(b"")
    (source / "format").write_text("as it is")
    (source / "other").write_text("not asked for")
    target.mkdir()
    return source, target


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors of the files whose content was copied."""
    copied: list[int] = []
    content = folder_copy._copy_content

    def count(original: int, copy: int) -> None:
        copied.append(original)
        content(original, copy)

    monkeypatch.setattr(folder_copy, "_cloned", lambda original, copy: False)
    monkeypatch.setattr(folder_copy, "_copy_content", count)
    return copied


def test_what_is_named_is_copied_for_its_owner_alone(folders: tuple[Path, Path]) -> None:
    source, target = folders
    (source / "a" / "two").chmod(0o644)
    copy = FolderCopy(source, ("a", "b", "format"), target)
    copy.update()
    del (wanted := tree(source))["other"]
    assert tree(target) == wanted
    for path in target.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert copy.sync() >= 3 * MB


def test_a_second_time_only_what_has_changed_is_copied(folders: tuple[Path, Path], counted: list[int]) -> None:
    source, target = folders
    copy = FolderCopy(source, ("a", "b", "format"), target, LATER)
    copy.update()
    assert len(counted) == 3
    copy.update()
    assert len(counted) == 3
    (source / "a" / "deep" / "one").write_bytes(b"2" * 3 * MB)  # of the same size
    (source / "b" / "new").write_bytes(b"3")
    (source / "a" / "two").unlink()
    copy.update()
    assert len(counted) == 5
    del (wanted := tree(source))["other"]
    assert tree(target) == wanted


def test_what_may_have_changed_within_the_tick_of_a_files_time_is_copied_again(
    folders: tuple[Path, Path], counted: list[int]
) -> None:
    source, target = folders
    copy = FolderCopy(source, ("a", "b", "format"), target)  # all was written just now
    copy.update()
    copy.update()
    assert len(counted) == 6


def test_a_file_that_was_replaced_by_one_like_it_is_copied(folders: tuple[Path, Path], counted: list[int]) -> None:
    source, target = folders
    path = source / "format"
    copy = FolderCopy(source, ("format",), target, LATER)
    copy.update()
    before = path.stat()
    (source / "new").write_text("as it WAS")
    (source / "new").replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy.update()
    assert (target / "format").read_text() == "as it WAS"


def test_holes_stay_holes_and_the_end_may_be_one(folders: tuple[Path, Path]) -> None:
    source, target = folders
    with (source / "b" / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(32 * MB)
        file.write(b"middle")
        file.truncate(64 * MB)
    FolderCopy(source, ("b",), target).update()
    copied = target / "b" / "sparse"
    assert copied.read_bytes() == (source / "b" / "sparse").read_bytes()
    assert copied.stat().st_blocks * 512 < MB


def test_a_part_on_another_disk_is_followed(folders: tuple[Path, Path]) -> None:
    source, target = folders
    (source / "a").rename(source.parent / "elsewhere")
    (source / "a").symlink_to(source.parent / "elsewhere")
    FolderCopy(source, ("a",), target).update()
    assert not (target / "a").is_symlink()
    assert tree(target / "a") == tree(source.parent / "elsewhere")


def test_what_vanishes_while_it_is_copied_is_no_error(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = folders
    opened, listed = os.open, os.scandir

    def vanishing_file(path: Path, *arguments: int) -> int:
        if path == source / "a" / "two":
            path.unlink(missing_ok=True)
        return opened(path, *arguments)

    def vanishing_folder(path: Path) -> Iterator[os.DirEntry[str]]:
        if path == source / "a" / "deep":
            (path / "one").unlink()
            path.rmdir()
        return listed(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", vanishing_file)
        patched.setattr(os, "scandir", vanishing_folder)
        FolderCopy(source, ("a", "b", "format"), target).update()
    assert sorted(path.name for path in target.rglob("*")) == ["a", "b", "deep", "format"]


def test_the_disk_is_never_filled(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = folders
    monkeypatch.setattr(folder_copy, "_cloned", lambda original, copy: False)
    monkeypatch.setattr(data, "free", lambda folder: data.FLOOR + MB)
    with pytest.raises(FileTrouble, match="The disk is full: with the copy less than 150 MB would be left"):
        FolderCopy(source, ("a",), target).update()


def test_without_a_copy_on_write_file_system_the_content_is_copied(folders: tuple[Path, Path]) -> None:
    source, target = folders
    (target / "copy").touch()
    with (source / "format").open("rb") as original, (target / "copy").open("r+b") as copy:
        done: Callable[[int, int], object] = folder_copy._cloned
        if not done(original.fileno(), copy.fileno()):
            folder_copy._copy_content(original.fileno(), copy.fileno())
    assert (target / "copy").read_text() == "as it is"
