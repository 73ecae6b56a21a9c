"""Fields that this version does not know: kept as they are written, bounded, and no danger to anybody."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.model.message import MAX_EVENT_BYTES, Chat, Message, Unreadable, decode, encode
from streamcli.model.unknown_fields import DEEPEST, MOST_FIELDS, Fields, UnknownFields
from streamcli.ui.json_lines import wire_line

PLAIN = b'{"sender": "t", "message": "a", "id": "i", "kind": "chat"%b}'
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def read(more: bytes) -> Message:
    message = decode(PLAIN % more, 0)
    assert not isinstance(message, Unreadable)
    return message


def fields(these: Fields) -> UnknownFields:
    text = ", ".join(f"{name}: {value}" for name, value in these)
    return UnknownFields(f"{{{text}}}".encode())


def kept(value: str) -> str | None:
    """How the value of a field "x" is written on."""
    return dict(read(b', "x": ' + value.encode()).unknown.fields).get('"x"')


def test_what_is_not_known_is_written_on_behind_what_is() -> None:
    data = b', "sig": "ab", "v": 2, "reply": {"to": [1, 2]}'
    assert encode(read(data)).decode() == (
        '{"sender": "t", "message": "a", "id": "i", "kind": "chat", "room": "lobby", "v": 2,'
        ' "sig": "ab", "reply": {"to": [1, 2]}}'
    )


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b" \n"])
def test_it_is_kept_whichever_way_the_event_is_read(lead: bytes) -> None:
    message = decode(lead + PLAIN % b' , "x"\n:\t1 ', 0)
    assert message == Chat(sender="t", message="a", id="i", unknown=fields((('"x"', "1"),)))
    original = decode(lead + b'{"x":[{}],"sender":"t","message":"a","y":""}', 0)
    assert isinstance(original, Chat) and original.unknown.fields == (('"x"', "[{}]"), ('"y"', '""'))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("9" * 5000, "9" * 5000),
        ("1.10", "1.10"),
        ("-0.12345678901234567890123456789", "-0.12345678901234567890123456789"),
        ("1e999", "1e999"),
        ('{"b": 1, "a": 2, "b": 3}', '{"b": 1, "a": 2, "b": 3}'),
        ('[1,\n\r\n\t2, "a  b"]', '[1, 2, "a  b"]'),
        ('"\\u00e9 \\/ \\ud83d\\ude00"', '"\\u00e9 \\/ \\ud83d\\ude00"'),
        # No other program must fail over these.
        ("NaN", "null"),
        ('[Infinity, -Infinity, "NaN, -Infinity", "\\"NaN"]', '[null, null, "NaN, -Infinity", "\\"NaN"]'),
        ('["\\ud800", {"\\udc80x": "\\\\ud800"}]', '["\ufffd", {"\ufffdx": "\\\\ud800"}]'),
    ],
)
def test_a_value_is_kept_as_it_is_written(value: str, written: str) -> None:
    assert kept(value) == written


def test_a_value_that_is_nested_too_deep_is_left_out() -> None:
    assert kept("[" * DEEPEST + '"[["' + "]" * DEEPEST)
    assert kept("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)) is None
    assert kept('{"a":' * 300 + "1" + "}" * 300) is None


def test_of_two_with_one_name_the_last_counts() -> None:
    assert read(b', "x": 1, "y": 2, "\\u0078": 3').unknown.fields == (('"y"', "2"), ('"x"', "3"))


@pytest.mark.parametrize("name", ["sender", "\\u0073ender", "SENDER", "\u017fender", "Sent_At", "\u212aind", "message"])
def test_none_passes_for_one_that_is_known(name: str) -> None:
    message = decode(f'{{"{name}": "eve", "sender": "t", "message": "a", "x": 1}}'.encode(), 0)
    assert isinstance(message, Chat)
    assert (message.sender, message.message, message.unknown.fields) == ("t", "a", (('"x"', "1"),))


@pytest.mark.parametrize("value", ["null", "[]", '[["sender", "x"]]', '{"\\"sender\\"": "\\"eve\\""}'])
def test_a_field_called_like_our_own_place_for_them_is_one_of_them(value: str) -> None:
    message = read(b', "unknown": ' + value.encode())
    assert message == Chat(sender="t", message="a", id="i", unknown=fields((('"unknown"', value),)))


def test_of_very_many_the_first_are_kept() -> None:
    many = b"".join(b', "x%d": %d' % (number, number) for number in range(2 * MOST_FIELDS))
    assert len(read(many).unknown.fields) == MOST_FIELDS - 4


def test_with_a_text_that_is_cut_what_fits_is_kept() -> None:
    text, half = b'"' + b"a" * MAX_EVENT_BYTES + b'"', b'"' + b"b" * (MAX_EVENT_BYTES // 2) + b'"'
    message = decode(b'{"sender": "t", "message": ' + text + b', "huge": ' + half + b', "sig": "ab"}', 0)
    assert isinstance(message, Chat) and len(message.message) < 3000
    assert message.unknown.fields == (('"sig"', '"ab"'),)
    many = b"".join(b', "%d": "%s"' % (number, b"\xc3\xa4" * 100) for number in range(900))
    message = decode(b'{"sender": "t", "message": "' + b"\\u0001" * 11_000 + b'"' + many + b"}", 0)
    assert isinstance(message, Chat) and 100 < len(message.unknown.fields) < 200
    assert len(encode(message)) <= MAX_EVENT_BYTES
    assert decode(encode(message), 0) == message


@settings(max_examples=150, deadline=None)
@given(fields=st.dictionaries(st.text(max_size=5).map("x".__add__), JSON, max_size=5), plain=st.booleans())
def test_whatever_it_is_a_line_says_the_same_and_no_terminal_obeys_it(fields: dict[str, object], plain: bool) -> None:
    ours = {"sender": "t", "message": "a", "id": "i", "kind": "chat", "room": "lobby", "v": 1}
    message = decode(json.dumps(fields | ours, ensure_ascii=plain).encode(), 0)
    assert not isinstance(message, Unreadable)
    line = wire_line(message)
    assert not {unicodedata.category(char) for char in line} & {"Cc", "Zl", "Zp"}
    assert json.loads(line) == fields | ours
    assert decode(encode(message), 0) == message


@pytest.mark.parametrize("name", ["x", "\x7f\x9b31m\u202e\U000e0041"])
def test_no_terminal_can_obey_a_line(name: str) -> None:
    hostile = "\x1b[31m \x07 \x9b31m \u2028 \u202e \U000e0041"
    line = wire_line(
        read(f", {json.dumps(name, ensure_ascii=False)}: [{json.dumps(hostile)}, ".encode() + b'"\xc2\x9b"]')
    )
    assert line.isprintable()
    assert json.loads(line)[name] == [hostile, "\x9b"]


@pytest.mark.parametrize("text", ["a", "a" * 30_000])
def test_a_line_is_never_longer_than_an_event_in_plain_letters(text: str) -> None:
    frame = len('{"sender":"t","message":"","x":""}')
    data = f'{{"sender":"t","message":"{text}","x":"{"b" * (MAX_EVENT_BYTES - frame - len(text))}"}}'.encode()
    message = decode(data, 0)
    assert len(data) == MAX_EVENT_BYTES and isinstance(message, Chat) and len(message.unknown.fields) == 1
    line = json.loads(wire_line(message))
    assert len(wire_line(message)) <= MAX_EVENT_BYTES
    assert (len(line["message"]), "x" in line) == ((1, False) if text == "a" else (2000, True))


@pytest.mark.parametrize("end", [b"", b"\\", b'\\"', b'\\\\"'])
def test_quotes_without_an_end_take_no_time(end: bytes) -> None:
    """Everybody decodes whatever somebody has written. The limit is of the processor's seconds, and a guard only."""
    begun = time.process_time()
    assert isinstance(decode(b'"' + rb"\"" * 32_000 + end, 0), Unreadable)
    assert time.process_time() - begun < 2
