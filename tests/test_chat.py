"""Two people in two real terminals, and somebody with the original two-field program."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import People
from tests.environment import workers_of
from tests.raw import Raw


def test_two_people_see_the_same_in_the_same_order(people: People) -> None:
    tim, alex = people.joins("tim"), people.joins("alex")
    for number in range(10):
        tim.enter(f"from tim, number {number}.")
        alex.enter(f"from alex, number {number}.")
    for terminal in (tim, alex):
        terminal.see("number 9.", times=2)
    said = [[line[6:] for line in terminal.lines() if ", number" in line] for terminal in (tim, alex)]
    assert said[0] == said[1]
    assert len(said[0]) == 20


def test_what_is_typed_is_what_is_sent(people: People, raw: Raw) -> None:
    tim, alex = people.joins("tim"), people.joins("alex")
    lines = ["MiXeD Case  two blanks", "Grüße, Ångström, Ωmega", "日本語の文", "👩‍👩‍👧 and 🇩🇪 and é", "  indented"]
    for line in lines:
        tim.enter(line)
    for line in lines[:3]:
        alex.see(f"tim: {line}")
    alex.see("indented")
    assert [message["message"] for message in raw.messages()] == lines
    assert {message["sender"] for message in raw.messages()} == {"tim"}


def test_half_typed_text_is_not_disturbed_by_what_arrives(people: People) -> None:
    tim, alex = people.joins("tim"), people.joins("alex")
    alex.type("half ty")
    tim.enter("hello")
    alex.see("tim: hello")
    alex.see_typed("alex> half ty")
    alex.enter("ped")
    tim.see("alex: half typed")


def test_the_original_program_is_understood_and_understands(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    raw.say("veteran", "from two fields")
    tim.see("veteran: from two fields")
    raw.say("veteran", "greet")
    tim.see("veteran says hi!")
    raw.say("veteran", "joke")
    tim.see("veteran jokes: ")
    tim.enter("and back")
    tim.see("tim: and back")
    tim.enter("greet")
    tim.see("tim says hi!")
    last = raw.messages()[-2:]
    assert [(message["sender"], message["message"]) for message in last] == [("tim", "and back"), ("tim", "greet")]


def test_commands_do_what_their_table_says(people: People, raw: Raw) -> None:
    tim, alex = people.joins("tim"), people.joins("alex")
    tim.enter("/greet")
    alex.see("tim says hi!")
    tim.enter("/me waves")
    alex.see("* tim waves")
    tim.enter("joke")
    alex.see("tim jokes: ")
    tim.see("tim jokes: ")
    jokes = [next(line[6:] for line in terminal.lines() if "jokes: " in line) for terminal in (tim, alex)]
    assert jokes[0] == jokes[1]
    tim.enter("//etc is a folder")
    alex.see("tim: /etc is a folder")
    tim.enter("/gret")
    tim.see("did you mean /greet?")
    tim.enter("/help")
    tim.see("/me TEXT")
    tim.enter("/quit")
    assert tim.end() == 0
    assert len(raw.messages()) == 4


def test_a_newcomer_sees_the_last_fifty_and_how_many_came_before(people: People, raw: Raw) -> None:
    raw.write(*(b'{"sender": "old", "message": "number %d."}' % number for number in range(1234)))
    tim = people.joins("tim")
    tim.see("number 1233.")
    assert tim.count("1,184 messages came before these.") == 1
    assert tim.count("old: number") == 50
    assert "number 1184." in next(line for line in tim.lines() if "old: " in line)


def test_one_slice_with_many_events_is_many_messages(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    raw.write(*(b'{"sender": "bot", "message": "burst %d."}' % number for number in range(500)))
    tim.see("burst 499.")
    assert [line[6:] for line in tim.lines() if "burst" in line] == [f"bot: burst {number}." for number in range(500)]


def test_several_segments_work_too(people: People, stream: str) -> None:
    with Raw(people.url, stream, segments=3) as raw:
        for number in range(30):
            raw.say("old", f"before {number}.", key=f"key {number % 7}")
        tim = people.joins("tim")
        tim.see("before ", times=30)
        tim.enter("hello from tim")
        tim.see("tim: hello from tim")
        raw.say("old", "live", key="key 3")
        tim.see("old: live")
        assert tim.count("before ") == 30


def test_two_terminals_of_one_user_each_see_everything(people: People) -> None:
    one, two, alex = people.joins("tim"), people.joins("tim"), people.joins("alex")
    alex.enter("to both")
    one.enter("from one")
    two.enter("from two")
    for terminal in (one, two, alex):
        for text in ("alex: to both", "tim: from one", "tim: from two"):
            terminal.see(text)
            assert terminal.count(text) == 1


def test_rooms_are_marked_when_they_are_not_ones_own(people: People) -> None:
    tim, alex = people.joins("tim"), people.joins("alex", "--room", "ops")
    alex.enter("disk full")
    tim.see("[ops] alex: disk full")
    alex.see("alex: disk full")
    assert alex.count("[ops]") == 0


def test_the_prompt_keeps_the_client_library_out_of_its_process(people: People) -> None:
    tim = people.joins("tim")
    assert "pravega_client" not in Path(f"/proc/{tim.pid}/maps").read_text()
    assert set(workers_of(tim.pid)) == {"read_worker", "write_worker"}
