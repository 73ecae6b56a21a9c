"""The sanitiser: whatever comes from outside, the terminal only prints it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pyte
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamcli.ui.sanitiser import FLAGS, MAX_MARKS, clean_line, clean_text

ENGLAND = FLAGS[0]
ATTACKS = [
    "\x1b]0;owned\x07",
    "\x1b]2;owned\x1b\\",
    "\x1b]52;c;cm0gLXJmIH4=\x07",
    "\x1b[2J\x1b[H",
    "\x1b[10;10Hx",
    "\x1b[5A\x1b[1G",
    "\x1b[31;1mred",
    "\x1b[?1049h",
    "\x1b[?25l",
    "\x1b[6n",
    "\x1b[201~rm -rf ~\n",
    "\x1bP$q\x1b\\",
    "\x1b#8",
    "\x1bc",
    "\x1bM",
    "\x9b2J",
    "\x9b31mred",
    "\x9d0;owned\x9c",
    "\x90q\x9c",
    "\x07\x07",
    "abc\x08\x08\x08xyz",
    "\x0e\x0f",
    "safe\rgone",
    "\x0b\x0c\x85",
    "\x7f\x00",
    "\u202egnp.exe",
    "\u2066a\u2069\u200e\u200f\u061c",
    "a\u2028b\u2029c",
    "\ufeffa\ufff9b\ufffac\ufffb",
    "\U000e0041\U000e0042\U000e007f",
    "\U0001f3f4\U000e0078\U000e0078\U000e007f",
    "tim\u200b\u00ad\u2060\u3164",
    "\ud800\udfff\udc9b",
    "\ufdd0\uffff\U0010fffe",
    "z" + "\u0301" * 500,
    "\u0301\u20dd",
    "\u200da\u200d\u200db\u200d",
    "a\ufe0f\ufe0f\ufe0f\U000e0100",
    "👩\u200d\u202e💻",
    "👩\u200d\ufe0f💻",
    "가" + "\u1161" * 50,
]
ORDINARY = [
    "",
    "hello there",
    "Grüße, naïve façade",
    "e\u0301 n\u0303",
    "你好，世界",
    "한국",
    "\u1112\u1161\u11ab",
    "שלום עולם",
    "می\u200cخواهم",
    "नमस्ते क्\u200dष",
    "👍🏽 🇩🇪 1\ufe0f\u20e3",
    "👩🏽\u200d💻 👨\u200d👩\u200d👧\u200d👦",
    "❤\ufe0f\u200d🔥 🏳\ufe0f\u200d🌈 👁\ufe0f\u200d🗨\ufe0f",
    "\U0001fae8 newer than this Python",
    f"{ENGLAND} and {ENGLAND}{FLAGS[1]}",
    "\ue0b0 powerline",
    "░▒▓ ⠓⠊",
]
# Any text, text dense with what is dangerous, and bytes as a terminal or a file gives them.
PIECES = st.sampled_from(
    [
        *ATTACKS,
        *ORDINARY,
        *"\x1b[]0;\x07\x9b\r\n\t \u0301\u200d\u200c\ufe0f👩💻🏴é",
        "\U000e0067",
        "\U000e007f",
        "\ud83d",
    ]
)
HOSTILE = (
    st.text(st.characters(), max_size=20)
    | st.text("aé👩\u200d\u0301\ufe0f \x1b", max_size=12)
    | st.lists(PIECES, max_size=8).map("".join)
    | st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
    | st.binary(max_size=20).map(lambda data: data.decode("latin-1"))
)
QUICK = settings(max_examples=150, deadline=None)


class Witness:
    """What a terminal's parser talks to: writes down what is printed, and the name of every other order."""

    def __init__(self) -> None:
        self.printed = ""
        self.orders: list[str] = []

    def draw(self, text: str) -> None:
        self.printed += text

    def __getattr__(self, order: str) -> Callable[..., None]:
        if order.startswith("_") or order not in pyte.Stream.events:
            raise AttributeError(order)
        return lambda *_, **__: self.orders.append(order)


def _only_prints(text: str) -> bool:
    """Tell whether a terminal prints all of ``text`` and does nothing else, now or with what comes next."""
    witness = Witness()
    pyte.Stream(witness).feed(text + "end")  # type: ignore[arg-type]  # it asks for no more than the orders
    return witness.orders == [] and witness.printed == text + "end"


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if set(attack) & set("\x1b\x9b\x9d\x07\x08\x0b\r")])
def test_the_witness_notices_an_attack_that_is_not_cleaned(attack: str) -> None:
    assert not _only_prints(attack)


@QUICK
@given(text=HOSTILE)
def test_a_terminal_only_prints_what_was_cleaned(text: str) -> None:
    for line in [*clean_text(text), clean_line(text)]:
        assert _only_prints(line)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_terminal_only_prints_a_cleaned_attack(attack: str) -> None:
    assert all(_only_prints(line) for line in [*clean_text(attack), clean_line(attack)])


@QUICK
@given(text=HOSTILE)
def test_nothing_invisible_or_unsendable_is_left_but_joiners_and_flags(text: str) -> None:
    for line in [*clean_text(text), clean_line(text)]:
        line.encode()
        for flag in FLAGS:
            line = line.replace(flag, "")
        kinds = {unicodedata.category(char) for char in line if char not in "\u200c\u200d"}
        assert not kinds & {"Cc", "Cs", "Cf", "Zl", "Zp"}


@QUICK
@given(text=HOSTILE)
def test_joiners_stand_between_two_things_to_join(text: str) -> None:
    for line in clean_text(text):
        for before, char, after in zip(" " + line, line, line[1:] + " ", strict=False):
            if char in "\u200c\u200d":
                assert not before.isascii() and not after.isascii()
                assert before not in "\u200c\u200d" and after not in "\u200c\u200d\ufe0f"


@QUICK
@given(text=HOSTILE, limit=st.integers(1, 12))
@example(text=ENGLAND * 3, limit=4)
@example(text="👩\u200d💻" * 3, limit=3)
@example(text="\u200d", limit=1)
def test_cleaning_again_changes_nothing(text: str, limit: int) -> None:
    lines = clean_text(text)
    assert [clean_text(line) for line in lines] == [[line] for line in lines]
    assert clean_text("\n".join(lines)) == lines
    assert clean_line(clean_line(text)) == clean_line(text)
    cut = clean_line(text, limit)
    assert clean_line(cut, limit) == cut == clean_line(cut)
    assert len(cut) <= limit


@QUICK
@given(text=st.text("\u0301\u0302\u20dd\u0903\u1161\u200d\ufe0fae1 👩", max_size=60))
def test_marks_never_pile_up(text: str) -> None:
    run = 0
    for char in clean_line(text):
        run = run + 1 if unicodedata.category(char) in ("Mn", "Mc", "Me") or char == "\u1161" else 0
        assert run <= MAX_MARKS + 1  # one selector may stand below the marks


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_passes_unchanged(text: str) -> None:
    assert clean_line(text) == text
    assert clean_text(text) == [text]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb\r\nc\rd", ["a", "b", "c", "d"]),
        ("a\n\nb\n", ["a", "", "b", ""]),
        ("a\tb", ["a    b"]),
        ("\x1b[31mred\x07", ["␛[31mred␇"]),
        ("\x00\x7f", ["␀␡"]),
        ("\x9b2J\x85", ["<U+009B>2J<U+0085>"]),
        ("\u202eabc", ["<U+202E>abc"]),
        ("a\u2028b", ["a<U+2028>b"]),
        ("\ufefftim\u200b", ["<U+FEFF>tim<U+200B>"]),
        ("a\ud800b\udc9b", ["a\ufffdb\ufffd"]),
        ("\uffff\ufdd0", ["\ufffd\ufffd"]),
        ("a\u00a0b\u2003c\u3000d", ["a b c\u3000d"]),
        ("\U000e0068", ["<U+E0068>"]),
        ("🏴\U000e0068\U000e007f", ["🏴<U+E0068><U+E007F>"]),
        ("\u0301x", ["◌\u0301x"]),
        ("a\n\u0301x", ["a", "◌\u0301x"]),
        ("z" + "\u0301" * 20, ["z" + "\u0301" * 8]),
        ("z" + ("\u0301" * 8 + "\u200d") * 5, ["z" + "\u0301" * 8]),
        ("t\u200dim\u200d", ["tim"]),
        ("a\u200dé \u200dé", ["aé é"]),
        ("\ufe0fa\ufe0f\ufe0f", ["a\ufe0f"]),
        ("tim\u3164", ["tim<U+3164>"]),
        ("\u0378", ["<U+0378>"]),
    ],
)
def test_what_is_dangerous_is_shown_harmlessly(text: str, lines: list[str]) -> None:
    assert clean_text(text) == lines


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [
        ("a\nb\r\nc", None, "a b c"),
        ("timothy", 7, "timothy"),
        ("timothy", 6, "timot…"),
        ("\x1b" * 9, 3, "␛␛…"),
        ("\u202e" * 9, 12, "<U+202E><U+…"),
        ("👩\u200d💻x", 3, "👩…"),
        (ENGLAND + "xx", 5, "🏴…"),
        ("tim", 1, "…"),
    ],
)
def test_a_name_is_one_line_and_no_longer_than_asked(text: str, limit: int | None, line: str) -> None:
    assert clean_line(text, limit) == line


def test_every_character_comes_out_harmless() -> None:
    # The planes of letters and pictures, the one of tags, and the end; what lies between is Chinese or nothing.
    for start in [*range(0, 0x20000, 0x800), 0xE0000, 0xE0800, 0x10F800]:
        line = clean_line("".join(map(chr, range(start, start + 0x800))))
        assert clean_line(line) == line
        kinds = {unicodedata.category(char) for char in line.replace("\u200c", "").replace("\u200d", "")}
        assert not kinds & {"Cc", "Cs", "Cf", "Zl", "Zp"}
