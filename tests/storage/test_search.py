"""Searching: words, beginnings of words, accents; and nothing a person types is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.model.message import Message
from streamcli.storage.word_index import Found, WordIndex, limits, query
from tests.storage.events import PLACE, log_of, said
from tests.storage.reading import History

TEXTS = [
    "Hello World",
    "Grüße aus Köln",
    'the *star* and "quotes" don\'t hurt',
    "NEAR AND OR NOT",
    "ein Café, zwei cafe",
    "version 3.11 of user@example.org",
    "hello again, world of 🎉 parties",
    "",
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a history that holds TEXTS, with its index."""
    with History.open(tmp_path_factory.mktemp("search")) as history:
        history.begin(PLACE, 0)
        history.store(log_of(said(text, number) for number, text in enumerate(TEXTS)), PLACE)
        with WordIndex(history.path) as words:
            assert words.index_some() == 0
        return history.path


def texts(found: Found) -> list[str]:
    assert found.behind == 0
    return [message.message for message in found.messages]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("hello", [6, 0]),
        ("HELLO", [6, 0]),
        ("world hello", [6, 0]),
        ("hel", [6, 0]),
        ("hel world", []),
        ("hello wor", [6, 0]),
        ("orld", []),
        ("koln", [1]),
        ("KÖLN gru", [1]),
        ("cafe", [4]),
        ("star", [2]),
        ("*star*", [2]),
        ('"star', [2]),
        ('"quotes" star', [2]),
        ("don't", [2]),
        ("near", [3]),
        ("NOT OR", [3]),
        ("AND", [3, 2]),
        ("3.11", [5]),
        ("11.3", []),
        ("example.org", [5]),
        ("text:hello", []),
        ("text : hello", []),
        ("hello 🎉", [6, 0]),
        ("hel 🎉", [6, 0]),
        ("world)", [6, 0]),
        ("(hello", [6, 0]),
        ("^hello", [6, 0]),
        ("hello -world", [6, 0]),
        ("tim hello", [6, 0]),
        ("{hello} + world", [6, 0]),
        ("hello\0world", [6, 0]),
        ("hello\ud800world", [0]),
        ("hello hello hello", [6, 0]),
        ("🎉", []),
        ("*", []),
        ('"', []),
        ("", []),
        ("\0", []),
        ("x" * 10_000, []),
        ('"*(' * 3_333, []),
        ("hello " * 1_666, [6, 0]),
        (" ".join(f"word{number}" for number in range(2_000)), []),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_words_find_messages_newest_first(path: Path, words: str, numbers: list[int]) -> None:
    with WordIndex(path) as index:
        assert texts(index.search(words)) == [TEXTS[number] for number in numbers]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="\"'*()^:+-{}\0 abNEARORNT,", max_size=40))
def test_nothing_that_can_be_typed_is_an_error(path: Path, words: str) -> None:
    with WordIndex(path) as index:
        assert len(index.search(words).messages) <= len(TEXTS)


def test_many_words_are_too_many_but_the_last_is_still_a_beginning() -> None:
    asked = query(" ".join(f"w{number}" for number in range(100)))
    assert asked.count('"') == 64
    assert asked.endswith('"w99"*')


BLANKS = "n scripts without blanks between words only the beginning of a phrase is found"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("hello Wörld cafe\u0301 42 привет مرحبا 한국어", ""),
        ("C++", "Signs (+) are ignored."),
        ("@tim #42", "Signs (# @) are ignored."),
        ("好吃", f"I{BLANKS}."),
        ("日本語", f"I{BLANKS}."),
        ("ﾊﾝｶｸ", f"I{BLANKS}."),
        ("สวัสดี", f"I{BLANKS}."),
        ("C++ 好吃", f"Signs (+) are ignored; i{BLANKS}."),
        ("\ud800\0", ""),
    ],
)
def test_what_the_index_does_not_see_is_said(words: str, says: str) -> None:
    assert limits(words) == says


def test_of_all_signs_a_few_are_named() -> None:
    assert limits("".join(map(chr, range(0x2190, 0x2200)))).count(" ") < 20


def test_what_is_not_indexed_yet_is_said(tmp_path: Path) -> None:
    with History.open(tmp_path) as history, WordIndex(history.path) as words:
        history.begin(PLACE, 0)
        log = log_of(said(f"message {number}", number) for number in range(25))
        history.store(log[:20], PLACE)
        assert words.search("message") == ([], 20)
        assert words.index_some(8) == 12
        found: tuple[list[Message], int] = words.search("message", 5)
        assert [message.message for message in found[0]] == [f"message {number}" for number in (7, 6, 5, 4, 3)]
        assert found[1] == 12
        assert [words.index_some(8), words.index_some(8), words.index_some(8)] == [4, 0, 0]
        history.store(log[20:], PLACE)
        assert words.search("message 19").behind == 5
        assert words.index_some() == 0
        assert len(words.search("message").messages) == 25


def test_an_index_that_knows_what_the_history_has_lost_begins_anew(tmp_path: Path) -> None:
    with History.open(tmp_path) as history, WordIndex(history.path) as words:
        history.store(log_of(said(f"lost {number}", number) for number in range(9)), "")
        words.index_some()
        # A power cut took the last three, and others have come in their place.
        history._connection.execute("DELETE FROM message WHERE number > 6")
        history.store(log_of(said(f"other {number}", number) for number in range(100, 105)), "")
    with WordIndex(history.path) as words:
        assert words.search("lost").behind == 11
        assert words.index_some() == 0
        assert len(words.search("lost").messages) == 6
        assert len(words.search("other").messages) == 5


def test_an_index_of_another_version_or_of_a_history_that_is_gone_is_removed(tmp_path: Path) -> None:
    for name in ("words0-00aa-00bb.db", "words1-00aa-00bb.db", "words1-00aa-00bb.db-wal"):
        (tmp_path / name).touch()
    with History.open(tmp_path) as history, WordIndex(history.path):
        there = {path.name for path in tmp_path.glob("words*.db*")}
    assert not there & {"words0-00aa-00bb.db", "words1-00aa-00bb.db", "words1-00aa-00bb.db-wal"}
    assert there, "its own is left"
