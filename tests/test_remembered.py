"""A chat without a server, on a history that was written before: how messages look, and what can be asked for."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from streamcli.model.address import Controller, Stream
from streamcli.model.message import Chat, encode
from streamcli.storage.directories import ADDRESS, Places, address_key
from streamcli.storage.outbox import Outbox
from tests.environment import STREAMCLI, make_home
from tests.storage.events import PLACE, log_of
from tests.storage.reading import History
from tests.terminal import Terminal

NOWHERE = "tcp://127.0.0.1:1"
HERE = address_key(Controller("127.0.0.1", 1), Stream())
MIDNIGHT = datetime(2026, 11, 21, tzinfo=timezone.utc)


def message(number: int, text: str, sender: str = "alex", after: timedelta = timedelta()) -> Chat:
    """A message sent so long after midnight."""
    return Chat(sender=sender, message=text, id=f"{number:032x}", sent_at=MIDNIGHT + after)


def remembers(home: Path, messages: Sequence[Chat]) -> Places:
    """Write the history that tim's last chat would have left; returns where tim's files lie."""
    make_home(home)
    places = Places("tim", home / ".local/share/streamcli")
    with History.open(places.history("log")) as history:
        history.begin(PLACE, 0)
        history.store(log_of(map(encode, messages)), PLACE)
    places.remember(HERE, "log")
    return places


@contextlib.contextmanager
def chat(home: Path, *, plant: str = "", columns: int = 100) -> Iterator[Terminal]:
    """Tim's chat, with ``plant`` executed before."""
    command = [sys.executable, "-c", f"{plant}\nfrom streamcli.cli.main import main\nmain()"] if plant else STREAMCLI
    with Terminal([*command, NOWHERE, "tim"], make_home(home), columns=columns) as tim:
        tim.see_last("connecting")
        yield tim


def test_one_message_takes_some_rows_and_is_shown_whole_when_asked_for(tmp_path: Path) -> None:
    remembers(tmp_path, [message(1, "\n".join(map(str, range(3200)))), message(2, "x" * 60_000)])
    with chat(tmp_path) as tim:
        tim.see("58,401 more characters (/history shows all)")
        assert tim.count("… 3,180 more lines (/history shows all)") == 1
        assert len(tim.lines()) < 50
        tim.enter("/search 3199")
        tim.see("1 message found:")
        tim.see("… 3,180 more lines (/history shows all)", times=2)
        tim.enter("/history")
        tim.see("-- The last 2 messages:")
        tim.wait(lambda: sum(row.count("x") for row in tim.lines()) >= 61_000, "all of the long line")
        rows = [row.strip() for row in tim.lines()]
        assert "--       3199" in rows and "--       3198" in rows


def test_the_day_is_said_once_although_clocks_differ(tmp_path: Path) -> None:
    seconds = [-2, 1, -1, 2, -1, 3, 4]
    late = [message(n, f"number {n}.", f"p{n % 2}", timedelta(seconds=s)) for n, s in enumerate(seconds)]
    remembers(tmp_path, late)
    with chat(tmp_path) as tim:
        tim.see("number 6.")
        assert [row for row in tim.lines() if "2026" in row] == [
            "-- Friday, 20 November 2026",
            "-- Saturday, 21 November 2026",
        ]
        for number, question in enumerate(["/history", "/search number"], start=2):
            tim.enter(question)
            tim.see("number 6.", times=number)
            assert (tim.count("20 November"), tim.count("21 November")) == (number, number)


def test_names_are_completed_whole(tmp_path: Path) -> None:
    names = ["Zoë", "Anna Berta", "Anna Maria", "Rene\u0301", "Ann"]
    remembers(tmp_path, [message(number, "hello", name) for number, name in enumerate(names)])
    with chat(tmp_path) as tim:
        tim.see("Anna Maria: hello")
        for typed, found in [
            ("Anna M\t", "Anna Maria: "),
            ("anna b\t", "Anna Berta: "),
            ("hi (anna m\t", "hi (Anna Maria "),
            ("hi “@anna m\t", "hi “@Anna Maria "),
            ("zoe\t", "Zoë: "),
            ("RENÉ\t", "René: "),
            ("ask [rene\t", "ask [René "),
            ("no@rene\t", "no@rene"),
        ]:
            tim.type(typed)
            tim.see_typed(f"tim> {found}")
            tim.type("\x15")
            tim.see_typed("tim> ")
        tim.type("Anna\t")  # once
        for name in ("Anna Maria", "Anna Berta"):
            tim.wait(lambda name=name: name in map(str.strip, tim.lines()), "the menu")  # type: ignore[misc]
        tim.type("\t")
        tim.wait(lambda: tim.before_cursor() in ("tim> Anna Maria: ", "tim> Anna Berta: "), "one of them")


def test_what_waits_for_another_address_is_named(tmp_path: Path) -> None:
    places = remembers(tmp_path, [message(1, "hello")])
    mistyped = address_key(Controller("127.0.0.1", 9), Stream("s", "t"))
    older = address_key(None, Stream())
    for address in (mistyped, older):
        with Outbox(places.outbox(address)) as outbox:
            outbox.add([message(7, "for elsewhere"), message(8, "too")])
    (places.outbox(older) / ADDRESS).unlink()  # as an older version left it
    with chat(tmp_path) as tim:
        tim.enter("／quit")
        tim.see("／quit is not a command; did you mean /quit? (／／quit sends it as text)")
        tim.enter("/outbox")
        tim.see("-- No unsent messages for this address.")
        tim.see("-- 2 messages for tcp://127.0.0.1:9, s/t: start with that address to send.")
        assert tim.count("-- 2 messages for another address: start with that address to send.") == 1
        tim.enter("for here")
        tim.see_last("1 pending")
        tim.type("\x04")
        assert tim.end() == 0
        tim.see(f"Not sent yet: “for here”. The next start with {NOWHERE}, scope/stream will send it.")
    for address in (mistyped, older):
        with Outbox(places.outbox(address)) as outbox:
            assert [entry.text() for entry in outbox.adopt()] == ["for elsewhere", "too"]


def test_the_outbox_is_shown_in_part_when_there_is_much_in_it(tmp_path: Path) -> None:
    places = remembers(tmp_path, [message(1, "hello")])
    with Outbox(places.outbox(HERE)) as outbox:
        outbox.add([message(number, f"number {number}.") for number in range(10, 1010)])
    with chat(tmp_path) as tim:
        tim.see_last("1000 pending")
        tim.enter("/outbox")
        tim.see("-- … and 980 more")
        assert (tim.count("-- unsent: number"), tim.count("number 1009.")) == (20, 0)


def test_what_a_search_does_not_see_is_said(tmp_path: Path) -> None:
    remembers(tmp_path, [message(1, "我喜欢吃苹果"), message(2, "C is a language")])
    with chat(tmp_path) as tim:
        tim.enter("/search 好吃")
        tim.see("Nothing found. In scripts without blanks between words only the beginning of a phrase is found.")
        tim.enter("/search C++")
        tim.see("1 message found: Signs (+) are ignored.")
        tim.enter("/search ++")
        tim.see("No words to search for in “++”. Signs (+) are ignored.")


@pytest.mark.parametrize(
    ("broken", "questions"),
    [
        ("streamcli.storage.history_queries.HistoryQueries._existing", ["/history", "/search x"]),
        ("streamcli.storage.outbox.Outbox.waiting", ["/outbox"]),
    ],
)
def test_a_question_whose_answer_fails_is_answered_in_one_line(
    tmp_path: Path, broken: str, questions: list[str]
) -> None:
    module, name, method = broken.rsplit(".", 2)
    plant = f"""
from {module} import {name}

def broken(self, *arguments):
    raise ArithmeticError("unforeseen")

{name}.{method} = broken
"""
    remembers(tmp_path, [message(1, "hello")])
    with chat(tmp_path, plant=plant, columns=200) as tim:
        for number, question in enumerate(questions, start=1):
            tim.enter(question)
            tim.see("Something is wrong in streamcli itself (ArithmeticError). The log says more: ", times=number)
        assert tim.count("Traceback") == 0
    log = (tmp_path / ".local/state/streamcli/log/streamcli.log").read_text()
    assert log.count("ArithmeticError: unforeseen") == len(questions)
