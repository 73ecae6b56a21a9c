"""How messages look: pure functions, and a terminal that is fed what they make."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.model.message import KINDS, Chat, Emote, Greet, Joke, Message, Unknown
from streamcli.ui.render import COLUMNS, INDENT, MAX_PENDING, MAX_ROWS, MessageStyle
from tests.test_sanitiser import HOSTILE, Witness

QUICK = settings(max_examples=200, deadline=None)
FOUR = datetime(2026, 11, 22, 16, 0, tzinfo=timezone.utc)
PLAIN = MessageStyle("tim", colour=False, zone=timezone.utc)
COLOUR = MessageStyle("tim", colour=True, zone=timezone.utc)
NAMES = HOSTILE.map(lambda text: text[:64].encode("utf-8", "replace").decode()).filter(lambda text: text.strip())
TEXTS = HOSTILE.map(lambda text: text.encode("utf-8", "replace").decode())


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from([*KINDS, "poll"]) | NAMES)
    type: Any = KINDS.get(kind, Unknown)
    made: Message = type(
        kind=kind,
        sender=draw(NAMES | st.just("tim")),
        message=draw(TEXTS),
        id="a",
        room=draw(NAMES | st.just("lobby")),
        sent_at=draw(st.sampled_from([None, FOUR])),
        typed_at=draw(st.sampled_from([None, FOUR])),
    )
    return made


def chat(text: str, **more: object) -> Chat:
    return Chat.model_validate({"sender": "alex", "message": text, "id": "a", "sent_at": FOUR} | more)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (chat("hello"), "16:00 alex: hello"),
        (chat("hello", sent_at=None), "--:-- alex: hello"),
        (chat("hello", room="ops"), "16:00 [ops] alex: hello"),
        (chat("hello", typed_at=FOUR - timedelta(seconds=5)), "16:00 alex: hello"),
        (chat("hello", typed_at=FOUR + timedelta(hours=1)), "16:00 alex: hello"),
        (chat("hello", typed_at=FOUR - timedelta(seconds=6)), "16:00 alex: hello (typed 15:59)"),
        (chat("hello", typed_at=FOUR - timedelta(minutes=5)), "16:00 alex: hello (typed 15:55)"),
        (chat("hello", typed_at=FOUR - timedelta(days=2)), "16:00 alex: hello (typed 20 November 16:00)"),
        (chat("hello", sent_at=None, typed_at=FOUR), "--:-- alex: hello (typed 22 November 16:00)"),
        (chat("one\ntwo\r\nthree"), "16:00 alex: one\n      two\n      three"),
        (chat(""), "16:00 alex: "),
        (chat("x", sender="\x1b[31m\nalex"), "16:00 ␛[31m alex: x"),
        (Greet(sender="alex", id="a", sent_at=FOUR), "16:00 alex says hi!"),
        (Joke(sender="alex", message="ha", id="a", sent_at=FOUR), "16:00 alex jokes: ha"),
        (Emote(sender="alex", message="waves", id="a", sent_at=FOUR), "16:00 * alex waves"),
        (
            Unknown(sender="alex", message="a or b", kind="poll", id="a", sent_at=FOUR, v=2),
            "16:00 alex [poll, from a newer version]: a or b",
        ),
    ],
)
def test_each_kind_has_its_look(message: Message, shown: str) -> None:
    assert PLAIN.message(message) == shown
    assert re.sub(r"\x1b\[[\d;]*m", "", COLOUR.message(message)) == shown


def test_times_are_local() -> None:
    east = MessageStyle("tim", colour=False, zone=timezone(timedelta(hours=9)))
    assert east.message(chat("x")) == "01:00 alex: x"
    assert east.local_day(chat("x")) == date(2026, 11, 23)
    assert east.local_day(chat("x", sent_at=None)) is None
    assert east.day(date(2026, 11, 3)) == "-- Tuesday, 3 November 2026"


@pytest.mark.parametrize(
    ("me", "sender", "text", "bold"),
    [
        ("tim", "alex", "hello tim", True),
        ("tim", "alex", "@Tim: look", True),
        ("tim", "alex", "times change", False),
        ("tim", "tim", "I am tim", False),
        ("a.b", "alex", "xa.b axb", False),
        ("a.b", "alex", "is a.b here", True),
        ("日本", "alex", "ああ 日本 ああ", True),
        ("strasse", "alex", "straße", False),
        ("José", "alex", "hello Jose\u0301!", True),
        ("Jose\u0301", "alex", "hello JOSÉ!", True),
        ("Jose", "alex", "hello Jose\u0301!", False),
        ("Jose", "alex", "hello José, hello jose", True),
        ("Rob", "alex", "Rob\u030a", False),
        ("Rob", "alex", "Rob\u030a and Rob", True),
        ("ob", "alex", "r\u0323ob", False),
        ("राम", "alex", "रामी", False),
        ("राम", "alex", "राम, here", True),
        ("🐻", "alex", "a 🐻\ufe0f!", True),
    ],
)
def test_a_message_that_names_me_stands_out(me: str, sender: str, text: str, bold: bool) -> None:
    style = MessageStyle(me, colour=True, zone=timezone.utc)
    assert ("\x1b[1m" in style.message(chat(text, sender=sender))) is bold


@pytest.mark.parametrize(
    ("text", "rows", "more"),
    [
        ("\n".join("x" * MAX_ROWS), MAX_ROWS, ""),
        ("\n".join("x" * (MAX_ROWS + 1)), MAX_ROWS, "… 1 more line"),
        ("\n" * 32_000, MAX_ROWS, "… 31,981 more lines"),
        ("x" * (MAX_ROWS * COLUMNS), 1, ""),
        ("x" * (MAX_ROWS * COLUMNS + 5), 1, "… 6 more characters"),
        ("語" * 60_000, 1, "… 59,201 more characters"),
        ("x\n" + "y" * 60_000 + "\nz", 2, "… 1 more line"),
        ("\n".join("x" * 100 for _ in range(100)), MAX_ROWS // 2, "… 90 more lines"),
        ("\x07" * 60_000, 1, "… 58,401 more characters"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "",
)
def test_a_long_text_is_cut_where_it_can_be_seen_whole_elsewhere(text: str, rows: int, more: str) -> None:
    style = MessageStyle("tim", colour=False, zone=timezone.utc, whole="there")
    lines = style.message(chat(text)).split("\n")
    assert (len(lines), lines[-1]) == ((rows + 1, f"{INDENT}{more} (there)") if more else (rows, lines[-1]))
    assert sum(-(-len(line) // COLUMNS) or 1 for line in lines) <= MAX_ROWS + 2
    assert style.note(text).count("\n") == len(lines) - 1
    assert style.note(text).endswith(more)
    assert PLAIN.message(chat(text)).count("\n") == text.count("\n")


def test_pending_lines_are_few_and_short() -> None:
    lines = list(PLAIN.pending([chat(f"number {number}\n" + "x" * 500) for number in range(MAX_PENDING + 3)]))
    assert len(lines) == MAX_PENDING + 1 and lines[-1] == "  ... and 3 more"
    assert all(line.startswith("  ... ") and "\n" not in line and len(line) < 210 for line in lines)


def test_what_could_not_be_read_is_one_quiet_line() -> None:
    assert PLAIN.unreadable(Counter({"empty": 1})) == "-- 1 event could not be read (empty)"
    shown = PLAIN.unreadable(Counter({"empty": 1, "not JSON": 1999}))
    assert shown == "-- 2,000 events could not be read (empty: 1, not JSON: 1999)"


@QUICK
@given(message=messages())
def test_without_colour_there_are_no_escape_codes(message: Message) -> None:
    assert "\x1b" not in "".join([PLAIN.message(message), *PLAIN.pending([message]), PLAIN.day(date(2026, 1, 1))])
    assert "\x1b" not in PLAIN.unreadable(Counter([message.message])) + PLAIN.note(message.message)


@pytest.mark.parametrize("name", ["\u200c", "\u200d\u200d", "\ufe0f"])
def test_a_name_that_nobody_can_see_is_shown_as_nobodys(name: str) -> None:
    assert PLAIN.message(chat("x", sender=name, room=name)) == "16:00 [?] ?: x"


@QUICK
@given(message=messages())
def test_a_terminal_fed_a_message_prints_and_changes_colour_and_nothing_else(message: Message) -> None:
    for style in (PLAIN, COLOUR):
        for shown in (style.message(message), *style.pending([message]), style.note(message.message)):
            witness = Witness()
            pyte.Stream(witness).feed(shown.replace("\n", "\r\n") + "end")  # type: ignore[arg-type]
            allowed = {"carriage_return", "linefeed"} | ({"select_graphic_rendition"} if style.colour else set())
            assert set(witness.orders) <= allowed
            assert witness.printed.endswith("end")
            assert len([order for order in witness.orders if order == "linefeed"]) == shown.count("\n")
    # The style of a message ends with it.
    assert "\x1b[" not in COLOUR.message(message).rpartition("\x1b[0m")[2]


@QUICK
@given(message=messages())
def test_no_line_of_a_message_passes_for_another_or_for_the_programs_own(message: Message) -> None:
    first, *more = PLAIN.message(message).split("\n")
    assert re.match(r"(\d\d:\d\d|--:--) ", first)
    assert all(line.startswith(INDENT) for line in more)
    for line in (first, *more):
        assert not line.startswith("-- ") and len(line.splitlines()) <= 1
    assert all(line.startswith("-- ") for line in PLAIN.note(message.message).split("\n"))


@QUICK
@given(room=NAMES)
def test_a_room_is_one_word_in_brackets_and_no_message(room: str) -> None:
    shown = PLAIN.message(chat("x", room=room))
    if room != "lobby":
        assert re.fullmatch(r"16:00 \[[^ \[\]]+\] alex: x", shown)
