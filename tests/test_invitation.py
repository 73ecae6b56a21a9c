"""The line that an owner sends and a guest joins with."""

from __future__ import annotations

import hashlib
import random
import string
import textwrap

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streamcli.errors import UsageError
from streamcli.model.invitation import (
    PIN_BYTES,
    SECRET_BYTES,
    Invitation,
    parse_invitation,
    pin_of,
    secret_hash,
)
from streamcli.model.names import valid_id

QUICK = settings(max_examples=200, deadline=None)
ALEX = Invitation("alex", ("192.168.1.20", "chat.example.org"), 4483, bytes(range(16)), bytes(range(100, 116)))
TYPOS = 20_000
LETTERS = string.ascii_letters + string.digits + "@:/,.-_%+ \u0430"


def valid(name: str) -> bool:
    try:
        return valid_id(name) == name
    except UsageError:
        return False


NAMES = st.text(min_size=1, max_size=20).filter(valid)
HOSTS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,30}", fullmatch=True)
INVITATIONS = st.builds(
    Invitation,
    name=NAMES,
    hosts=st.lists(HOSTS, min_size=1, max_size=4).map(tuple),
    port=st.integers(1, 65_535),
    pin=st.binary(min_size=PIN_BYTES, max_size=PIN_BYTES),
    secret=st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES),
)


def is_broken(line: str) -> bool:
    try:
        parse_invitation(line)
    except UsageError as error:
        assert "cut or changed" in str(error)
        return True
    return False


def test_the_line_is_what_was_agreed() -> None:
    """Lines that were sent before an update have to work after it."""
    code = "aaaqeayeaudaocajbifqydiob5sgkzthnbuwu23mnvxg64drojz2aphn"
    assert ALEX.line == f"alex@192.168.1.20,chat.example.org:4483/{code}"
    assert parse_invitation(ALEX.line) == ALEX


@QUICK
@given(invitation=INVITATIONS)
def test_what_is_sent_is_what_is_read(invitation: Invitation) -> None:
    line = invitation.line
    assert parse_invitation(line) == invitation
    assert line.isascii() and line.isprintable() and " " not in line
    assert parse_invitation(f"  streamcli join {line}\n") == invitation


def test_every_letter_that_is_changed_left_out_or_doubled_is_noticed() -> None:
    chance = random.Random("typos")
    line = ALEX.line
    code = line.rindex("/") + 1
    for at in range(len(line)):
        assert is_broken(line[:at] + line[at + 1 :]), f"without letter {at}"
        assert is_broken(line[:at] + line[at] + line[at:]), f"with letter {at} doubled"
        if at + 1 < len(line) and line[at] != line[at + 1]:
            assert is_broken(line[:at] + line[at + 1] + line[at] + line[at + 2 :]), f"letters {at} and {at + 1} swapped"
    for _ in range(TYPOS):
        at, letter = chance.randrange(len(line)), chance.choice(LETTERS)
        changed = line[:at] + letter + line[at + 1 :]
        if letter == line[at] or (at >= code and letter.lower() == line[at]):
            assert parse_invitation(changed) == ALEX
        else:
            assert is_broken(changed), f"letter {at} is {letter!r}"


@QUICK
@given(invitation=INVITATIONS, at=st.integers(0, 400), letter=st.characters())
def test_a_letter_changed_anywhere_is_noticed(invitation: Invitation, at: int, letter: str) -> None:
    line = invitation.line
    at %= len(line)
    changed = line[:at] + letter + line[at + 1 :]
    assume("".join(changed.split()).lower() != line.lower())
    assert is_broken(changed)


def test_capitals_matter_in_the_name_and_the_addresses_only() -> None:
    where, _, code = ALEX.line.rpartition("/")
    assert parse_invitation(f"{where}/{code.upper()}") == ALEX
    assert parse_invitation(f"STREAMCLI Join {where}/{code.capitalize()}") == ALEX
    assert is_broken(f"{where.upper()}/{code}")
    assert is_broken(f"{where.capitalize()}/{code}"), "alex and Alex are two names"
    assert is_broken(f"{where}/{code.replace('i', 'ı', 1)}"), "a letter whose capital is another one's"


@pytest.mark.parametrize(
    "before", ["", "streamcli join ", "  streamcli join   ", "streamcli\njoin\n", "Streamcli join "]
)
@pytest.mark.parametrize("width", [16, 20, 40, 72, 78])
def test_a_line_that_a_mail_has_wrapped_is_read(before: str, width: int) -> None:
    wrapped = "\r\n".join(textwrap.wrap(before + ALEX.line, width, break_on_hyphens=False))
    assert parse_invitation(wrapped) == ALEX
    assert parse_invitation("\n \t" + wrapped + "\n\n") == ALEX


def test_a_line_within_other_words_is_no_invitation() -> None:
    assert is_broken(f"please: {ALEX.line}")
    assert is_broken(f"{ALEX.line} thanks")
    assert is_broken(ALEX.line.replace("chat", "streamcli join chat"))
    assert is_broken(f"streamcli joined {ALEX.line}")
    assert is_broken(f"streamcli join streamcli join {ALEX.line}")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("a b", "a%20b@"),
        ("al/ex", "al%2Fex@"),
        ("al@ex", "al%40ex@"),
        ("100%", "100%25@"),
        ("jürgen", "j%C3%BCrgen@"),
        ("алекс", "%D0%B0%D0%BB%D0%B5%D0%BA%D1%81@"),
        ("\U0001f600", "%F0%9F%98%80@"),
        ("streamcli join", "streamcli%20join@"),
    ],
)
def test_a_name_of_any_letters_is_written_with_few(name: str, where: str) -> None:
    invitation = Invitation(name, ("::1", "h"), 4483, ALEX.pin, ALEX.secret)
    assert invitation.line.startswith(f"{where}::1,h:4483/")
    assert parse_invitation(invitation.line) == invitation
    assert is_broken(invitation.line.replace("@", "%40", 1))
    assert is_broken(invitation.line.replace(where, f"{name}@", 1)) or where == f"{name}@"


def test_a_name_written_in_another_way_is_refused() -> None:
    """What it looks like is what it is."""
    assert is_broken(ALEX.line.replace("alex", "%61lex"))
    lower = Invitation("jürgen", ALEX.hosts, 4483, ALEX.pin, ALEX.secret).line.replace("%C3%BC", "%c3%bc")
    assert is_broken(lower)
    for name in ("", " alex", "al\u200bex", "ale\u0301x", "x" * 65, "a\nb"):
        with pytest.raises(UsageError):
            parse_invitation(Invitation(name, ALEX.hosts, 4483, ALEX.pin, ALEX.secret).line)


@pytest.mark.parametrize("port", [0, -1, 65_536, 10**9])
def test_a_port_is_one(port: int) -> None:
    assert is_broken(Invitation("alex", ALEX.hosts, port, ALEX.pin, ALEX.secret).line)
    assert not is_broken(Invitation("alex", ALEX.hosts, 65_535, ALEX.pin, ALEX.secret).line)


@pytest.mark.parametrize("hosts", [(), ("",), ("a", ""), ("", "a")])
def test_a_host_is_one(hosts: tuple[str, ...]) -> None:
    assert is_broken(Invitation("alex", hosts, 4483, ALEX.pin, ALEX.secret).line)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_pin_and_secret_have_their_sizes(size: int) -> None:
    assert is_broken(Invitation("alex", ALEX.hosts, 4483, bytes(size), ALEX.secret).line)
    assert is_broken(Invitation("alex", ALEX.hosts, 4483, ALEX.pin, bytes(size)).line)


@QUICK
@given(text=st.text(max_size=200) | st.text("abcdefgh234567@:/,.% \n", max_size=120))
def test_anything_else_is_refused_in_one_sentence(text: str) -> None:
    assert is_broken(text)


def test_no_error_and_no_repr_contains_the_secret() -> None:
    code = ALEX.line.rpartition("/")[2]
    for line in (ALEX.line[:-1], ALEX.line + "a", ALEX.line.replace("4483", "4484")):
        with pytest.raises(UsageError) as failure:
            parse_invitation(line)
        assert code[26:50] not in str(failure.value)
    assert "secret" not in repr(ALEX) and repr(ALEX.secret)[2:-1] not in repr(ALEX)


def test_what_is_stored_of_a_secret_is_a_hash() -> None:
    assert len({secret_hash(bytes([number]) * SECRET_BYTES) for number in range(256)}) == 256
    assert ALEX.secret.hex() not in secret_hash(ALEX.secret)
    assert pin_of(b"certificate") == hashlib.sha256(b"certificate").digest()[:PIN_BYTES]
