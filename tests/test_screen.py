"""The prompt as a person has it under the fingers: a real pseudo-terminal, keys in, rows out."""

from __future__ import annotations

import subprocess

from tests.conftest import People, Server
from tests.environment import STREAMCLI
from tests.raw import Raw
from tests.terminal import Terminal


def test_lines_that_are_not_confirmed_stand_above_the_prompt_until_they_are(people: People, server: Server) -> None:
    tim = people.joins("tim")
    with server.stopped_in_its_tracks():
        tim.enter("is anybody there?")
        tim.see("  ... is anybody there?")
        tim.see_last("1 pending")
        assert tim.count("tim: is anybody there?") == 0
        tim.type("and")
        tim.see_typed("tim> and")
    tim.see("tim: is anybody there?")
    tim.wait(lambda: tim.count("  ... is anybody") == 0, "no pending line")
    tim.see_typed("tim> and")
    assert "pending" not in tim.lines()[-1]


def test_what_was_printed_is_never_changed(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    shown: list[str] = []
    for number in range(60):
        raw.say("bot", f"line {number}.")
        tim.see(f"line {number}.")
        lines = [line for line in tim.lines() if "bot: " in line]
        assert lines[: len(shown)] == shown
        shown = lines


def test_what_was_typed_on_other_days_comes_back_with_the_arrow_keys(people: People) -> None:
    tim = people.joins("tim")
    tim.enter("yesterday's words")
    tim.see("tim: yesterday's words")
    tim.type("\x04")
    assert tim.end() == 0
    again = people.joins("tim")
    again.type("\x1b[A")
    again.see_typed("tim> yesterday's words")
    assert (people.folder / "tim/.local/state/streamcli/typed").stat().st_mode & 0o777 == 0o600


def test_pasting_part_of_a_line_only_types_it(people: People) -> None:
    tim = people.joins("tim")
    tim.type("say ")
    tim.paste("half a line")
    tim.see_typed("tim> say half a line")


def test_commands_and_names_complete(people: People, raw: Raw) -> None:
    raw.say("alexandra", "hello")
    tim = people.joins("tim")
    tim.type("/")
    tim.see("list the commands, or explain one")
    tim.type("he\t")
    tim.see_typed("tim> /help")
    tim.type("\x03")
    tim.type("alex\t")
    tim.see_typed("tim> alexandra: ")
    tim.type("\x03")
    tim.type("ask @al\t")
    tim.see_typed("tim> ask @alexandra ")
    tim.type("\x15/")
    tim.see("leave the chat")
    tim.type("\t")
    tim.see_typed("tim> /greet")
    tim.type("\r")  # takes what is chosen in the menu, and neither runs nor sends it
    tim.wait(lambda: tim.count("leave the chat") == 0, "no menu")
    tim.see_typed("tim> /greet")
    assert [message["message"] for message in raw.messages()] == ["hello"]


def test_a_resized_terminal_keeps_prompt_and_text(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    tim.type("x" * 70)
    for columns, lines in ((40, 20), (120, 40), (20, 5), (80, 24)):
        tim.resize(columns, lines)
        raw.say("bot", f"at {columns}")
        tim.see(f"bot: at {columns}")
    tim.type("!")
    tim.see_typed("tim> " + "x" * 70 + "!")


def test_wide_characters_are_measured_right(people: People) -> None:
    tim = people.joins("tim")
    tim.type("日本語")
    tim.see_typed("tim> 日本語")
    tim.type("\x1b[D\x1b[D\x7f")
    tim.see_typed("tim> ")
    tim.type("\x05 fin")
    tim.enter("")
    tim.see("tim: 本語 fin")


def test_a_mention_of_ones_name_stands_out_and_no_colour_is_no_colour(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    raw.say("bot", "hey Tim, look")
    tim.see("hey Tim, look")
    assert b"\x1b[1mhey Tim, look\x1b[0m" in tim.raw
    env = {**people.env("alex"), "NO_COLOR": "1"}
    with Terminal([*STREAMCLI, people.url, "alex"], env).connected() as alex:
        alex.see("hey Tim, look")
        assert b"38;5;" not in alex.raw and b"\x1b[2m" not in alex.raw


def test_where_there_is_no_terminal_lines_are_plain(people: People, raw: Raw) -> None:
    raw.say("bot", "from \x1b[31mbefore")
    done = subprocess.run(
        [*STREAMCLI, people.url, "tim"],
        input=b"hello\n\n/me waves\n",
        env=people.env("tim"),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    out = done.stdout.decode()
    assert "\x1b" not in out
    assert [line.partition(" ")[2] for line in out.splitlines()] == [
        "bot: from ␛[31mbefore",
        "tim: hello",
        "* tim waves",
    ]
    assert [message["message"] for message in raw.messages()][1:] == ["hello", "waves"]
