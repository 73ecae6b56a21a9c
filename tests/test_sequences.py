"""What a terminal sends that is no key is dropped whole, in however many pieces it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

from streamcli.ui.reflow import reflows, rows_more
from streamcli.ui.sequences import SequenceParser

ANSWERS = {
    "focus in": "\x1b[I",
    "focus out": "\x1b[O",
    "background colour, BEL": "\x1b]11;rgb:1e1e/1e1e/2e2e\x07",
    "background colour, ST": "\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\",
    "device attributes": "\x1b[?64;1;2;6;9;15;18;21;22c",
    "secondary device attributes": "\x1b[>1;4402;0c",
    "tertiary device attributes": "\x1bP!|00000000\x1b\\",
    "XTVERSION": "\x1bP>|xterm(370)\x1b\\",
    "DECRQSS": "\x1bP1$r0m\x1b\\",
    "kitty graphics": "\x1b_Gi=31;OK\x1b\\",
    "kitty keyboard": "\x1b[97;5u",
    "kitty keyboard flags": "\x1b[?1u",
    "mode report": "\x1b[?2026;2$y",
    "window size": "\x1b[8;24;80t",
    "colour scheme": "\x1b[?997;1n",
}


def keys(*pieces: str, flush: bool = False) -> list[tuple[str, str]]:
    """What comes of these pieces, with a pause after each if ``flush``."""
    pressed: list[KeyPress] = []
    parser = SequenceParser(pressed.append)
    for piece in pieces:
        parser.feed(piece)
        if flush:
            parser.flush()
    return [(str(getattr(key.key, "value", key.key)), key.data) for key in pressed]


def test_what_has_no_end_is_over_after_a_pause() -> None:
    clock = 0.0
    pressed: list[KeyPress] = []
    parser = SequenceParser(pressed.append, lambda: clock)

    def comes(text: str, after: float) -> str:
        nonlocal clock
        clock += after
        pressed.clear()
        parser.feed(text)
        parser.flush()
        return "".join(key.data for key in pressed)

    for beginning in ("\x1b]11;rgb:00", "\x1b[1", "\x1bP1$r"):
        assert comes(beginning, 5) == ""
        assert comes("hello", 5) == "hello"
        assert comes(beginning, 5) == ""
        assert comes("\x1b\\" if beginning != "\x1b[1" else ";5D", 0.9) in ("", "\x1b[1;5D")
    assert comes("\x1b[200~never", 5) == ""
    assert comes("more of it", 5) == ""  # a slow line is no reason to take a paste for keys
    assert comes("x", 0.5) == ""
    assert comes("\x03", 1.5) == "nevermore of itx\x03"
    assert comes("typed", 0) == "typed"


TEXT = [("a", "a"), ("b", "b")]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_of_the_terminal_is_no_key_in_whatever_pieces_it_comes(answer: str) -> None:
    assert keys(f"a{answer}b") == TEXT
    assert keys(*f"a{answer}b") == TEXT
    for cut in range(1, len(answer)):
        assert keys("a" + answer[:cut], answer[cut:] + "b") == TEXT
        if cut > 2:  # of fewer a person may have pressed Alt
            assert keys("a" + answer[:cut], answer[cut:] + "b", flush=True) == TEXT


def test_keys_stay_keys() -> None:
    for sequence, key in (
        ("\x1b[A", Keys.Up),
        ("\x1bOA", Keys.Up),
        ("\x1b[1;5D", Keys.ControlLeft),
        ("\x1b[3~", Keys.Delete),
        ("\x1b[[A", Keys.F1),
        ("\r", Keys.ControlM),
        ("\x1b[Z", Keys.BackTab),
    ):
        assert keys(*sequence) == [(key.value, sequence)], repr(sequence)
    assert [key for key, _ in keys("\x1bb")] == ["escape", "b"]
    assert [key for key, _ in keys("\x1b\x1b[A", flush=True)] == ["escape", "up"]
    assert [key for key, _ in keys("\x1b", flush=True)] == ["escape"]
    assert [key for key, _ in keys("\x1b", "x", flush=True)] == ["escape", "x"]
    assert [key for key, _ in keys("\x1bP", "hello", flush=True)] == ["escape", "P", *"hello"]
    assert [key for key, _ in keys("\x1b]hello")] == ["escape", "]", *"hello"]


def test_a_mouse_that_reports_does_not_type() -> None:
    # Those that prompt_toolkit knows are keys of their own, to which nothing is bound.
    assert [key for key, _ in keys("a\x1b[<0;12;5Mb\x1b[<0;12;5m")] == ["a", "b"]
    assert [key for key, _ in keys("a\x1b[M !!b")] == ["a", "b"]


def test_a_paste_is_text_whatever_it_holds() -> None:
    inside = "see \x1b]11;rgb:1/2/3\x07 and \x1b[I\x1b[A"
    for pieces in ([f"\x1b[200~{inside}\x1b[201~b"], list(f"\x1b[200~{inside}\x1b[201~b")):
        assert keys(*pieces) == [("<bracketed-paste>", inside), ("b", "b")]


@given(st.lists(st.sampled_from([*"ab[]OPM;0~\\", "\x1b", "\x07", "\r", "\x1b[", "\x1b]1", "ü", "日"]), max_size=30))
def test_the_parser_survives_anything_and_finds_back_after_enter(pieces: list[str]) -> None:
    for flush in (True, False):
        assert keys(*pieces, "\r", "\r", "z", flush=flush)[-1] == ("z", "z")


def test_rows_after_a_narrowing() -> None:
    assert rows_more([], 5, 60) == 0
    assert rows_more([100, 30, 60, 61, 0], 5, 60) == 2
    assert rows_more([100], 89, 60) == 2
    assert reflows({"TMUX": "/tmp/x", "TERM": "tmux-256color"}) and reflows({"TERM_PROGRAM": "iTerm.app"})
    assert not reflows({"TERM": "xterm-256color", "TMUX": ""})


def test_the_name_of_a_terminal_around_this_one_says_nothing_about_this_one() -> None:
    vte = {"VTE_VERSION": "7000", "TERM": "xterm-256color"}
    assert reflows(vte)
    assert not reflows({**vte, "STY": "1.pts-0", "TERM": "screen"}), "GNU screen in GNOME Terminal"
    assert not reflows({**vte, "XTERM_VERSION": "XTerm(370)"}), "xterm started from GNOME Terminal"
    assert not reflows({"TMUX": "/tmp/x", "XTERM_VERSION": "XTerm(370)", "TERM": "xterm"}), "xterm started from tmux"
    assert reflows({"TMUX": "/tmp/x", "XTERM_VERSION": "XTerm(370)", "TERM": "screen"}), "tmux in xterm"
