"""Commands: what is typed, and the action it means."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.commands import (
    COMMANDS,
    Action,
    Context,
    Drop,
    Nothing,
    Outbox,
    Query,
    Quit,
    Recall,
    Retry,
    Search,
    Send,
    Show,
    UsageHint,
    completions,
    markdown_table,
    parse,
)
from streamcli.model.message import jokes

GREET = Send("greet", "greet")
SLASHES = tuple("/／⁄∕⧸")
FIRST_JOKE = Send("joke", jokes()[0])
LEAVING = "/quit  leave the chat (or press Ctrl-D, or Ctrl-C twice)"


def _first(texts: Sequence[str]) -> str:
    return texts[0]


CONTEXT = Context(choose=_first)


def _parse(line: str) -> Action:
    return parse(line, CONTEXT)


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("hi", Send("chat", "hi")),
        ("  Hello There ", Send("chat", "  Hello There ")),
        ("hi\n", Send("chat", "hi")),
        ("hi\r\n", Send("chat", "hi")),
        ("hi\n\n", Send("chat", "hi\n")),
        ("two\nlines", Send("chat", "two\nlines")),
        ("a /quit", Send("chat", "a /quit")),
        ("//quit", Send("chat", "/quit")),
        ("//", Send("chat", "/")),
        ("///x ", Send("chat", "//x ")),
        ("/ foo", Send("chat", "/ foo")),
        (" /etc/passwd", Send("chat", " /etc/passwd")),
        ("a\udc9bb", Send("chat", "a\ufffdb")),
        ("", Nothing()),
        (" \t\n", Nothing()),
        ("\u3000", Nothing()),
        ("greet", GREET),
        (" greet \n", GREET),
        ("/greet", GREET),
        ("/GREET ", GREET),
        ("  /greet", GREET),
        ("joke", FIRST_JOKE),
        ("/Joke", FIRST_JOKE),
        ("Greet", Send("chat", "Greet")),
        ("JOKE", Send("chat", "JOKE")),
        ("greet me", Send("chat", "greet me")),
        ("quit", Send("chat", "quit")),
        ("help", Send("chat", "help")),
        ("/me waves", Send("me", "waves")),
        ("/ME  Waves  Twice ", Send("me", "Waves  Twice")),
        ("/me greet", Send("me", "greet")),
        ("/me /quit", Send("me", "/quit")),
        ("/quit", Quit()),
        ("/exit", Quit()),
        ("/Exit\n", Quit()),
        ("/help quit", Show((LEAVING, "also: /exit"))),
        ("/help /EXIT", Show((LEAVING, "also: /exit"))),
        ("/help greet", Show(("/greet  say hi to everyone", "also: greet alone on a line"))),
        ("/help me", Show(("/me TEXT  describe what you are doing: /me waves",))),
        (
            "/help search",
            Show(
                (
                    "/search WORDS  search messages; the last word matches as a prefix",
                    "Case, accents, punctuation and symbols are ignored. In Chinese, Japanese, Thai and other scripts "
                    "without blanks between words, a search matches only the beginning of a phrase.",
                )
            ),
        ),
        ("/gret", UsageHint("/gret is not a command; did you mean /greet? (//gret sends it as text)")),
        ("/Qiut now", UsageHint("/Qiut is not a command; did you mean /quit? (//Qiut sends it as text)")),
        ("/help gret", UsageHint("/gret is not a command; did you mean /greet? (//gret sends it as text)")),
        (
            "/etc/passwd",
            UsageHint("/etc/passwd is not a command; see /help. (//etc/passwd sends it as text)"),
        ),
        ("／quit", UsageHint("／quit is not a command; did you mean /quit? (／／quit sends it as text)")),
        (
            "\u3000／QUIT\u3000now",
            UsageHint("／QUIT is not a command; did you mean /quit? (／／QUIT sends it as text)"),
        ),
        ("／ｑｕｉｔ", UsageHint("／ｑｕｉｔ is not a command; did you mean /quit? (／／ｑｕｉｔ sends it as text)")),
        ("/ｑｕｉｔ", UsageHint("/ｑｕｉｔ is not a command; did you mean /quit? (//ｑｕｉｔ sends it as text)")),
        ("⁄me waves", UsageHint("⁄me is not a command; did you mean /me? (⁄⁄me sends it as text)")),
        ("／食べる", UsageHint("／食べる is not a command; see /help. (／／食べる sends it as text)")),
        ("／", UsageHint("／ is not a command; see /help. (／／ sends it as text)")),
        ("／／quit", Send("chat", "／quit")),
        ("／\u3000食べる", Send("chat", "／\u3000食べる")),
        (" ／食べる", Send("chat", " ／食べる")),
        ("5／6", Send("chat", "5／6")),
        ("/", UsageHint("A single slash is not a command; see /help. (// sends it as text)")),
        ("/greet all", UsageHint("/greet takes no argument: type /greet")),
        ("/quit now", UsageHint("/quit takes no argument: type /quit")),
        ("/me", UsageHint("/me needs an argument: /me TEXT")),
        ("/me  ", UsageHint("/me needs an argument: /me TEXT")),
    ],
)
def test_a_line_means(line: str, action: Action) -> None:
    assert _parse(line) == action


def test_a_joke_is_one_of_those_there_are_and_chosen_by_who_calls() -> None:
    last = parse("/joke", Context(choose=lambda texts: texts[-1]))
    assert last == Send("joke", jokes()[-1]) != FIRST_JOKE
    assert parse("joke", Context(choose=random.Random(1).choice)) != FIRST_JOKE


def test_help_names_every_command_and_how_to_send_a_slash() -> None:
    overview = _parse("/help")
    assert isinstance(overview, Show)
    rows = [line.split("  ")[0] for line in overview.lines]
    assert rows == [*(", ".join(command.ways) for command in COMMANDS), "//text"]
    assert {"/greet, greet", "/quit, /exit"} <= set(rows)
    assert all(command.help in line for command, line in zip(COMMANDS, overview.lines, strict=False))


def test_a_complaint_about_a_long_word_stays_short() -> None:
    complaint = _parse("/" + "x" * 100_000)
    assert isinstance(complaint, UsageHint)
    assert len(complaint.text) < 200


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("/", [f"/{command.name}" for command in COMMANDS]),
        ("/g", ["/greet", "/guests"]),
        ("/ME", ["/me"]),
        ("/ex", ["/exit"]),
        ("/x", []),
        ("//", []),
        ("/me w", []),
        ("", []),
        ("g", []),
    ],
)
def test_a_prefix_is_completed_to_commands_only(prefix: str, names: list[str]) -> None:
    assert [name for name, _ in completions(prefix)] == names


def test_every_completion_says_what_the_command_does() -> None:
    assert completions("/exit") == [("/exit", "leave the chat (or press Ctrl-D, or Ctrl-C twice)")]
    assert all(text for _, text in completions("/"))


def test_the_table_for_the_docs_has_a_row_for_each_command() -> None:
    rows = markdown_table().splitlines()
    assert rows[:2] == ["| Type | to |", "| --- | --- |"]
    assert rows[2] == "| `/greet`, `greet` | say hi to everyone |"
    assert rows[-1] == "| `//text` | send text that begins with a slash |"
    assert len(rows) == 3 + len(COMMANDS)


def test_names_and_aliases_are_in_lower_case_and_used_once() -> None:
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    assert len(set(names)) == len(names)
    assert all(name.isalpha() and name.islower() for name in names)


@settings(max_examples=100, deadline=None)
@given(text=st.text() | st.text("/／ \t\ngreHELPquit"))
def test_whatever_is_typed_nothing_is_sent_but_what_was_typed(text: str) -> None:
    action = _parse(text)
    if isinstance(action, Send) and action.kind == "chat":
        typed = text.removesuffix("\n").removesuffix("\r")
        doubled = typed[:1] in SLASHES and typed[:1] == typed[1:2]
        assert action.text == (typed[1:] if doubled else typed)
        assert not action.text.isspace() or doubled


@settings(max_examples=100, deadline=None)
@given(text=st.text(min_size=1).filter(lambda text: not text.endswith("\r")))  # which would be the line's end
def test_every_text_can_be_sent_by_doubling_its_first_slash(text: str) -> None:
    assert _parse(f"//{text}\n") == Send("chat", f"/{text}")


@settings(max_examples=100, deadline=None)
@given(
    slash=st.sampled_from(SLASHES),
    word=st.text(st.characters(exclude_categories=("Z", "C"), exclude_characters="".join(SLASHES)), min_size=1),
)
def test_a_line_that_begins_with_a_slash_and_a_word_never_reaches_the_room_by_mistake(slash: str, word: str) -> None:
    action = _parse(f"{slash}{word} secret")
    assert action in (GREET, FIRST_JOKE, Send("me", "secret")) or isinstance(action, UsageHint | Quit | Show | Query)
    assert not (isinstance(action, Send) and action.kind == "chat")


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("/history", Recall(20)),
        ("/history 1000", Recall(1000)),
        ("/history 007", Recall(7)),
        ("/search two Words", Search("two Words")),
        ("/outbox", Outbox()),
        ("/retry", Retry()),
        ("/drop", Drop()),
    ],
)
def test_what_this_machine_remembers_can_be_asked_for(line: str, action: Action) -> None:
    assert _parse(line) == action


@pytest.mark.parametrize(
    "line",
    [
        *["/history 0", "/history 1001", "/history all", "/history ²", "/history -1", "/history 1 2"],
        *["/history 00000001999999999999", "/history " + "0" * 10_000, "/history " + "9" * 10_000],
        *["/search", "/outbox all"],
    ],
)
def test_a_question_that_can_not_be_answered_is_complained_about(line: str) -> None:
    assert isinstance(_parse(line), UsageHint)
