"""Typing: what each key does in the line, in a search, and while pasted lines wait. Through a real terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.input import DummyInput
from prompt_toolkit.output import DummyOutput
from ptyprocess import PtyProcess

from streamcli.ui.application import ChatApplication
from streamcli.ui.keys import BINDINGS, EDITING, HELD, bind
from tests.conftest import People, eventually
from tests.environment import STREAMCLI, make_home
from tests.raw import Raw
from tests.terminal import Terminal

MANY = [f"many {number}." for number in range(5)]
NO_KEY = "\x1b[I\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\"


def test_a_search_takes_its_line_into_the_prompt_and_sends_nothing(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    tim.enter("apple cherry pie")
    tim.see("tim: apple cherry pie")
    tim.type("half a dra")
    tim.type("\x12cherry")
    tim.see("Search: ")
    tim.type("\r")
    tim.wait(lambda: tim.count("Search: ") == 0, "no search")
    assert "apple cherry pie" in tim.lines()[-2]
    tim.type("\x03")
    for end in ("\x03", "\x07"):
        tim.type("half a dra")
        tim.see_typed("tim> half a dra")
        tim.type("\x12cherry")
        tim.see("Search: ")
        tim.type(end)
        tim.wait(lambda: tim.count("Search: ") == 0, "no search")
        tim.see_typed("tim> half a dra")
        tim.type("\x15")
    tim.type("\x12cherry\x12\r")  # an empty line is no other case
    tim.wait(lambda: "tim> apple cherry pie" in tim.lines()[-2], "the line found")
    tim.type("\x05 again\r")
    tim.see("tim: apple cherry pie again")
    tim.type("half a dra\x12chery")
    tim.see("Not found: chery")
    tim.type("\r")
    tim.wait(lambda: tim.count("Not found") == 0, "no search")
    tim.see_typed("tim> half a dra")
    assert raw.texts() == ["apple cherry pie", "apple cherry pie again"]


def test_a_search_that_is_ended_gives_the_draft_back(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    for line in ("one foo", "two foo"):
        tim.enter(line)
        tim.see(f"tim: {line}")
    for end in ("\x03", "\x07", "\x1b"):
        tim.type("my draft\x1b[D\x1b[D\x12foo\x1bb")  # Alt-B is no letter
        tim.see("Search: foo")
        tim.wait(lambda: "tim> two foo" in tim.rows(), "the newest line")
        tim.type("\x12\x12")
        tim.wait(lambda: "tim> one foo" in tim.rows(), "the older line")
        tim.type(end)
        tim.wait(lambda: tim.count("Search: ") == 0, "no search")
        tim.type("-")
        tim.wait(lambda: "tim> my dra-ft" in tim.rows(), "the draft and the cursor in it")
        tim.type("\x05\x15")
    assert raw.texts() == ["one foo", "two foo"]


def test_esc_swallows_nothing_that_comes_after_it(people: People) -> None:
    tim = people.joins("tim")
    tim.type("\x1b\x1b[200~pasted\x1b[201~")
    tim.see_typed("tim> pasted")
    tim.type("\x15/")
    tim.see("leave the chat")
    tim.type("\x1b")
    tim.wait(lambda: tim.count("leave the chat") == 0, "no menu")
    tim.type("hello")
    tim.see_typed("tim> /hello")
    tim.type("\x15\x1b")
    time.sleep(0.4)  # a person's pause; nothing tells that the key was taken
    tim.type("hello")
    tim.see_typed("tim> hello")


def test_no_key_takes_a_line_away_or_adds_to_it_unseen(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    tim.type("important words")
    tim.see_typed("tim> important words")
    # Ctrl-O, Alt-#, Ctrl-S, Ctrl-Q, Ctrl-V, Ctrl-X e, Ctrl-X Ctrl-E, Alt-3, Alt-Enter, F5, Page Up, a focus event and
    # an answer in two pieces.
    for keys in ("\x0f", "\x1b#", "\x13", "\x11", "\x16", "\x18\x05", "\x1b3", "\x1b\r", "\x1b[15~", "\x1b[5~", NO_KEY):
        tim.type(keys)
    tim.type("\x1b]11;rgb:1e1e/")
    time.sleep(0.7)  # longer than what comes at once
    tim.type("1e1e/2e2e\x07")
    tim.type("!")
    tim.see_typed("tim> important words!")
    tim.type("\r")
    tim.see("tim: important words!")
    assert raw.texts() == ["important words!"]


def test_ctrl_c_clears_a_line_and_up_brings_it_back(people: People) -> None:
    tim = people.joins("tim")
    for _ in range(2):
        tim.type("a long text")
        tim.see_typed("tim> a long text")
        tim.type("\x03")
        tim.see_typed("tim> ")
        time.sleep(0.3)  # prompt_toolkit reads the history in a thread after each line
        tim.type("\x1b[A")
        tim.see_typed("tim> a long text")
        tim.type("\x15")
        tim.see_typed("tim> ")
    assert "a long text" not in (people.folder / "tim/.local/state/streamcli/typed").read_text()


def test_every_character_that_an_input_method_types_is_sent(people: People, raw: Raw) -> None:
    typed = "a\u3000b\u00a0c می\u200cخواهم \U0001f469\u200d\U0001f469."
    tim = people.joins("tim")
    tim.enter(typed)
    tim.see("tim: a")
    assert raw.texts() == [typed]


def test_a_line_whose_paste_is_refused_comes_back_with_up(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    tim.type("my own words ")
    tim.see_typed("tim> my own words ")
    tim.paste("y" * 70_000 + "\nsecond\n")
    tim.see("tim: second")
    assert tim.count("Not sent: ") == 1
    time.sleep(0.3)  # prompt_toolkit reads the history in a thread after each line
    tim.type("\x1b[A")
    tim.see_typed("tim> my own words ")
    assert raw.texts() == ["second"]


def test_few_pasted_lines_are_sent_as_text(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    tim.type("see: ")
    tim.paste("look here:\r\n/usr/bin/env\n/drop")
    tim.see("tim: /drop")
    tim.paste("greet\n/quit\n")
    tim.see("tim: /quit")
    assert raw.texts() == ["see: look here:", "/usr/bin/env", "/drop", "greet", "/quit"]
    assert {message["kind"] for message in raw.messages()} == {"chat"}


def test_many_pasted_lines_wait_for_a_key_that_nobody_types_ahead(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    tim.type("see: ")
    tim.paste("\n".join(MANY))
    tim.type("hey why sorry")
    tim.see("5 pasted lines are waiting: Ctrl-Y sends them, Ctrl-C drops them.")
    tim.see_typed("tim> see: hey why sorry")
    tim.paste("and\none more")
    tim.see("7 pasted lines are waiting")
    tim.type("\x03")
    tim.see("7 pasted lines were not sent.")
    tim.see_typed("tim> see: hey why sorry")
    tim.paste("\n".join([*MANY, "/drop"]) + "\n")
    tim.see("6 pasted lines are waiting")
    tim.type("\r")
    tim.see("tim: see: hey why sorry")
    tim.type("\x19")
    tim.see("tim: /drop")
    tim.wait(lambda: tim.count("pasted lines are waiting") == 0, "no question")
    assert raw.texts() == ["see: hey why sorry", *MANY, "/drop"]


@pytest.mark.parametrize("way", ["/quit", "signal"])
def test_pasted_lines_that_wait_are_not_left_behind_unsaid(people: People, way: str) -> None:
    tim = people.joins("tim")
    tim.paste("\n".join("abcde"))
    tim.see("5 pasted lines are waiting")
    tim.type("\x04")
    tim.see("-- 5 pasted lines are waiting: Ctrl-Y sends them, Ctrl-C drops them.")
    if way == "signal":
        os.kill(tim.pid, signal.SIGTERM)
    else:
        tim.enter(way)
    assert tim.end() == 0
    assert tim.count("5 pasted lines were not sent.") == 1


def test_a_chat_stopped_by_force_draws_its_line_once(people: People) -> None:
    tim = people.joins("tim")
    tim.type("some draft")
    tim.see_typed("tim> some draft")
    os.kill(tim.pid, signal.SIGSTOP)
    eventually(lambda: psutil.Process(tim.pid).status() == psutil.STATUS_STOPPED)
    tim.type(" goes on")
    os.kill(tim.pid, signal.SIGCONT)
    tim.see_typed("tim> some draft goes on")
    assert tim.count("draft") == 1


def test_only_the_keys_of_the_tables_are_bound() -> None:
    class Actions:
        def __getattr__(self, name: str) -> object:
            return lambda event: None

    with create_app_session(DummyInput(), DummyOutput()):
        app = ChatApplication(
            key_bindings=bind(Actions(), Buffer(), lambda: False, print), enable_page_navigation_bindings=False
        )
        assert not app._default_bindings.bindings, "prompt_toolkit's own bindings accept lines past our Enter"
        assert app.key_bindings
        bound = {" ".join(str(getattr(key, "value", key)) for key in one.keys) for one in app.key_bindings.bindings}
    ours = {key for row in (*BINDINGS, HELD) for key in row.keys} | {keys for row in EDITING for keys in row.commands}
    special = {
        "up",
        "down",
        "c-p",
        "c-n",
        "c-r",
        "c-g",
        "escape",
        "s-tab",
        "<any>",
        "escape <any>",
        "<bracketed-paste>",
        "escape <bracketed-paste>",
    }
    spelled = {"enter": "c-m", "tab": "c-i", "backspace": "c-h", "escape backspace": "escape c-h"}
    assert bound == {spelled.get(keys, keys) for keys in ours | special}


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGSTOP])
def test_a_chat_stopped_from_outside_has_its_prompt_after_fg(people: People, number: int) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(shell, {**people.env("tim"), "PS1": "shell$ "}) as tim:
        tim.enter("echo shell is $$; " + " ".join([*STREAMCLI, people.url, "tim"]))
        tim.connected()
        tim.type("half")
        tim.see_typed("tim> half")
        (chat,) = subprocess.run(["pgrep", "-P", str(tim.pid)], capture_output=True, text=True).stdout.split()
        os.kill(int(chat), number)
        tim.see("Stopped")
        tim.see_typed("shell$ ")
        tim.enter("fg")
        tim.wait(lambda: tim.before_cursor() == "tim> half", "the prompt")
        tim.type(" a line\x02\x02\x02\x02X\x05\r")
        tim.see("tim: half a Xline")
        tim.type("\x03")
        tim.see_last("Ctrl-C again leaves")
        tim.type("\x04")
        tim.see_typed("shell$ ")
        tim.enter("exit")
        assert tim.end() == 0


def test_a_window_closed_while_the_chat_is_stopped_ends_it_quietly(tmp_path: Path) -> None:
    process = PtyProcess.spawn([*STREAMCLI, "tcp://127.0.0.1:1", "tim"], env=make_home(tmp_path))
    drawn = b""
    while b"tim>" not in drawn:
        drawn += process.read()
    os.kill(process.pid, signal.SIGSTOP)
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    process.fileobj.close()
    os.kill(process.pid, signal.SIGCONT)
    eventually(lambda: not process.isalive())
    assert process.exitstatus == 0
    assert "Traceback" not in (tmp_path / ".local/state/streamcli/log/streamcli.log").read_text()


def test_a_key_that_fails_is_said_and_the_line_stays(people: People, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'streamcli' in sys.orig_argv[:3]:\n"
        "    import streamcli.chat.chatter as chatter\n"
        "    def typed(self, line):\n"
        "        raise ZeroDivisionError('planted')\n"
        "    chatter.Chatter.typed = typed\n"
    )
    env = {**people.env("tim"), "PYTHONPATH": str(tmp_path)}
    with Terminal([sys.executable, "-m", "streamcli", people.url, "tim"], env).connected() as tim:
        tim.type("words\r")
        tim.see("Something is wrong in streamcli itself (ZeroDivisionError)")
        tim.see_typed("tim> words")
        assert "planted" in (people.folder / "tim/.local/state/streamcli/log/streamcli.log").read_text()
        tim.type("\x03\x04")
        assert tim.end() == 0


def test_a_terminal_that_cuts_rows_inside_one_that_breaks_them_loses_no_messages(people: People, raw: Raw) -> None:
    env = {**people.env("tim"), "VTE_VERSION": "7000", "STY": "1.pts-0"}  # GNU screen in GNOME Terminal
    with Terminal([*STREAMCLI, people.url, "tim"], env).connected() as tim:
        for number in range(5):
            raw.say("bot", f"message {number}.")
            tim.see(f"message {number}.")
        tim.type("x" * 84)
        tim.see_typed("tim> " + "x" * 84)
        for columns in (60, 45, 100):
            drawn = len(tim.raw)
            tim.resize(columns, 30)
            tim.wait(lambda: b"connected to" in tim.raw[drawn:], f"drawn at {columns}")  # noqa: B023
        assert [number for number in range(5) if tim.count(f"message {number}.") != 1] == []
