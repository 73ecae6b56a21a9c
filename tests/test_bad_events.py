"""What a chat lives with: events that can't be read, poison, streams split in segments or cut off at the head."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import time

import psutil
import pytest

from tests.conftest import People, eventually
from tests.environment import workers_of
from tests.raw import Raw

OWNED = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x1b[10;10H\x07\x9b31m\r\x08\x1b[?1049h"
GOOD = b'{"sender": "old", "message": "%s"}'
# What prompt_toolkit and we ourselves send; all else would have to come from an event.
OURS = re.compile(r"\x1b\[(0|1|2|38;5;\d+)m")

WHEEL = ("--client", "wheel")


def good(text: str) -> bytes:
    return GOOD % text.encode()


def test_what_can_not_be_read_is_counted_and_its_neighbours_are_shown(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    bad = [b"no json", b"\xff\xfe", b'{"sender": 1, "message": []}', b"[]", b"{}", b"[" * 100_000]
    for number, event in enumerate(bad):
        raw.write(good(f"before {number}."), event)
    raw.say("new", "from the future", v=2, kind="poll", options=["a", {"b": 1}], id="x")
    raw.say("new", "x" * (1 << 20))
    raw.write(good("after."))
    tim.see("old: after.")
    assert tim.count("old: before ") == len(bad)
    assert tim.count("new [poll, from a newer version]: from the future") == 1
    assert tim.count("(/history shows all)") == 1
    tim.enter("/history")
    tim.see("(1.0 MiB in all, cut)")
    tim.see("-- 6 events could not be read")
    tim.enter("still here")
    tim.see("tim: still here")
    alex = people.joins("alex")
    alex.see("tim: still here")
    alex.see("-- 6 events could not be read")
    assert alex.count("could not be read") == 1


def test_no_field_reaches_the_terminal_as_an_order(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    begin = len(tim.raw)
    kinds = ("chat", "me", "joke", "greet", OWNED)
    for number, kind in enumerate(kinds):
        raw.say(OWNED, OWNED + "\nsecond", id=f"{number}{OWNED}", kind=kind, room=OWNED, sent_at=OWNED, v=2)
    raw.say("old", "after.")
    tim.see("old: after.")
    assert tim.bells == 0 and tim.titles == []
    lines = [line for line in bytes(tim.raw[begin:]).decode().split("\n") if "␛" in line or "second" in line]
    assert len(lines) == len(kinds) * 3 - 2  # a greet has no text; the carriage return breaks a line
    for line in lines:
        shown = OURS.sub("", line[max(0, line.find("--:--")) :].rstrip("\r"))  # behind the prompt that was erased
        assert shown.isprintable(), shown
        assert "<U+009B>" in shown or "␈" in shown or "second" in shown or "hi!" in shown
    tim.enter("well")
    tim.see("tim: well")


@pytest.mark.parametrize("where", ["first", "several", "last"])
def test_an_empty_event_in_the_past_is_passed(where: str, people: People, raw: Raw) -> None:
    empty = [b""] if where != "several" else [b"", b"", b""]
    events = {"first": [*empty, good("one.")], "last": [good("one."), *empty]}.get(where, [good("one."), *empty])
    raw.write(*events)
    if where == "several":
        raw.write(good("two."), b"", good("one. again"))
    tim = people.joins("tim")
    tim.see("old: one.")
    tim.see(f"-- {len([event for event in raw.events() if not event])} event")
    raw.say("old", "live")
    tim.see("old: live")
    tim.enter("typed")
    tim.see("tim: typed")


def test_empty_events_come_while_people_type_on(people: People, raw: Raw) -> None:
    tim, alex = people.joins("tim"), people.joins("alex")
    for number in range(9):
        tim.enter(f"typed {number}.")
        if number % 3 == 1:
            raw.write(b"")
            raw.write(good(f"after {number}."), b"", b"", good(f"more {number}."))
    for terminal in (tim, alex):
        terminal.see("tim: typed", times=9)
        terminal.see("old: after", times=3)
        terminal.see("old: more", times=3)
        assert [line[6:] for line in terminal.lines() if "tim: typed" in line] == [
            f"tim: typed {number}." for number in range(9)
        ]
    said = [line[6:] for line in tim.lines() if re.search(r": (typed|after|more)", line)]
    assert said == [line[6:] for line in alex.lines() if re.search(r": (typed|after|more)", line)]
    later = people.joins("later")
    later.see("tim: typed", times=9)
    later.see("old: more", times=3)


@pytest.mark.wheel
def test_the_wheel_says_an_empty_event_on_several_segments_and_the_chat_goes_on(people: People, stream: str) -> None:
    with Raw(people.url, stream, segments=3) as raw:
        tim = people.joins("tim", *WHEEL)
        for number in range(14):
            raw.say("old", f"past {number}.", key=f"key {number}")
        tim.see("old: past", times=14)
        # The client stumbles over it when something follows; that can't be read by anybody.
        raw.write(b"", key="key 1")
        raw.say("old", "behind it", key="key 1")
        tim.see("empty event", deadline=10)
        tim.connected()
        alex = people.joins("alex", *WHEEL)
        alex.see("empty event")
        before = workers_of(alex.pid)
        worker = psutil.Process(before["read_worker"])
        used, begin = sum(worker.cpu_times()[:2]), time.monotonic()
        for number in range(14):
            raw.say("old", f"live {number}.", key=f"key {number}")
        tim.enter("typed")
        for terminal in (tim, alex):
            terminal.see("old: live", times=14)
            terminal.see("tim: typed")
            assert terminal.count("old: past") == terminal.count("old: live") == 14
        # Longer than it takes to replace a worker that gives no signs of life.
        with pytest.raises(psutil.TimeoutExpired):
            worker.wait(9)
        assert sum(worker.cpu_times()[:2]) - used < 0.1 * (time.monotonic() - begin)
        assert workers_of(alex.pid) == before


def test_a_busy_stream_of_several_segments_is_shown_while_it_is_busy(people: People, stream: str) -> None:
    with Raw(people.url, stream, segments=3) as raw:
        tim = people.opens("tim")
        number, end = 0, time.monotonic() + 20
        while not tim.count("old: number"):
            raw.say("old", f"number {number}.", key=f"key {number}")
            number += 1
            assert time.monotonic() < end


def test_large_events_in_a_row_are_passed(people: People, raw: Raw) -> None:
    big = b'{"sender": "old", "message": "big %d ' + b"x" * 65_000 + b'"}'
    for number in range(0, 1100, 100):
        raw.write(*(big % each for each in range(number, number + 100)))
    raw.write(*(good(f"after {number}.") for number in range(50)))  # only these are drawn
    people.opens("tim").see("old: after 49.")


def test_a_stream_made_anew_by_somebody_else_is_another(people: People, raw: Raw) -> None:
    raw.write(*(good(f"first {number}.") for number in range(3)))
    tim = people.joins("tim")
    tim.see("old: first", times=3)
    os.kill(tim.pid, signal.SIGSTOP)
    raw.delete_stream()
    raw.write(*(good(f"first {number}.") for number in range(5)), b"", good("last."))  # longer than the one before
    os.kill(workers_of(tim.pid)["read_worker"], signal.SIGKILL)
    os.kill(tim.pid, signal.SIGCONT)
    tim.see("This is another log than before")
    tim.see("old: last.")
    assert tim.count("old: first") == 3 + 5
    alex = people.joins("alex")
    alex.see("-- 1 event could not be read")
    assert alex.count("old: first") == 5


def test_a_head_that_was_cut_off_is_no_other_log(people: People, raw: Raw) -> None:
    events = [good(f"number {number}.") for number in range(20)]
    size = sum(8 + len(event) for event in events[:10])
    raw.write(*events[:10])
    tim = people.joins("tim")
    tim.see("old: number", times=10)
    raw.write(*events[10:])
    tim.see("old: number", times=20)
    raw.truncate(size)
    reader = workers_of(tim.pid)["read_worker"]
    os.kill(reader, signal.SIGKILL)
    eventually(lambda: workers_of(tim.pid).get("read_worker", reader) != reader)
    raw.say("old", "after.")
    tim.see("old: after.")
    assert tim.count("old: number") == 20 and tim.count("another log") == 0
    alex = people.joins("alex")
    alex.see("old: after.")
    assert alex.count("old: number") == 10


def test_a_head_cut_off_beyond_what_was_read_costs_only_what_is_gone(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    raw.write(good("read."))
    tim.see("old: read.")
    gone = [good(f"gone {number}.") for number in range(3)]
    reader = workers_of(tim.pid)["read_worker"]
    os.kill(tim.pid, signal.SIGSTOP)
    os.kill(reader, signal.SIGKILL)
    raw.write(*gone, good("kept."))
    raw.truncate(sum(8 + len(event) for event in [good("read."), *gone]))
    os.kill(tim.pid, signal.SIGCONT)
    tim.see("old: kept.")
    assert tim.count("another log") == 0 and tim.count("old: read.") == 1
    tim.enter("well")
    tim.see("tim: well")


@pytest.mark.wheel
def test_reader_groups_of_crashed_runs_do_not_pile_up(people: People, raw: Raw) -> None:
    def kept() -> list[str]:
        names: list[str] = []
        for file in (people.folder / "tim").rglob("groups/*.json"):
            with contextlib.suppress(FileNotFoundError):  # deleted at this moment
                names += json.loads(file.read_text() or "{}").get("groups", [])
        return names

    for _ in range(5):
        tim = people.joins("tim", *WHEEL)
        os.kill(tim.pid, signal.SIGKILL)
        tim.end()
    crashed = kept()
    assert crashed and all(name.startswith("tim-") for name in crashed)
    people.joins("tim", *WHEEL)
    eventually(lambda: not set(kept()) & set(crashed))
    assert raw.group_is_deleted(crashed[0]) and not raw.group_is_deleted(kept()[0])
    assert len(kept()) <= 2  # that of the terminal that is open, and its like for several segments


@pytest.mark.wheel
def test_a_reader_that_somebody_takes_offline_is_replaced(people: People, raw: Raw) -> None:
    tim = people.joins("tim", *WHEEL)
    raw.say("alex", "before.")
    tim.see("alex: before.")
    (kept,) = (people.folder / "tim").rglob("groups/*.json")
    raw.take_offline(json.loads(kept.read_text())["groups"][0])
    raw.say("alex", "after.")
    tim.see("alex: after.")
    assert tim.count("alex: before.") == tim.count("alex: after.") == 1
    tim.connected()


def split(url: str, stream: str, segments: list[int], into: int) -> None:
    """Have ``segments`` of a stream replaced by ``into`` new ones; refused until the split before is finished."""
    refused = b"\x08\x01"  # field 1, the status: PRECONDITION_FAILED
    answers: list[bytes] = []

    def asked() -> bool:
        answers.append(ask_to_split(url, stream, segments, into))
        return answers[-1] != refused

    eventually(asked)
    # The status is left out when it is 0, STARTED; the new segments follow.
    assert answers[-1].startswith(b"\x12"), answers


def ask_to_split(url: str, stream: str, segments: list[int], into: int) -> bytes:
    """Ask the controller as its auto-scaling does; returns its answer.

    The Python client has no call for this: one gRPC request by hand, protobuf in HTTP/2.
    """

    def field(tag: int, data: bytes) -> bytes:
        return bytes([tag << 3 | 2]) + number(len(data)) + data

    def number(value: int) -> bytes:
        return bytes([value & 127 | 128]) + number(value >> 7) if value > 127 else bytes([value])

    def header(name: str, value: str) -> bytes:
        return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

    def frame(kind: int, flags: int, channel: int, payload: bytes = b"") -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + channel.to_bytes(4, "big") + payload

    ranges = [struct.pack("<BdBd", 1 << 3 | 1, n / into, 2 << 3 | 1, (n + 1) / into) for n in range(into)]
    request = field(1, field(1, b"scope") + field(2, stream.encode())) + field(2, b"".join(map(number, segments)))
    request += b"".join(field(3, each) for each in ranges) + b"\x20" + number(time.time_ns() // 1_000_000)
    path = "/io.pravega.controller.stream.api.grpc.v1.ControllerService/scale"
    headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"}
    headers |= {"content-type": "application/grpc", "te": "trailers"}
    host, port = url.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), 20) as server, server.makefile("rb") as answers:
        server.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
        server.sendall(frame(1, 4, 1, b"".join(header(*each) for each in headers.items())))
        server.sendall(frame(0, 1, 1, b"\0" + len(request).to_bytes(4, "big") + request))
        kind = -1
        while kind != 0:  # DATA
            head = answers.read(9)
            kind, answer = head[3], answers.read(int.from_bytes(head[:3], "big"))
            assert kind in (0, 1, 4, 6, 8) and not (kind == 1 and head[4] & 1), (kind, answer)
    return answer[5:]


def test_a_stream_is_split_and_joined_under_a_running_chat(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    for number in range(20):
        raw.say("old", f"whole {number}.", key=f"key {number}")
    tim.see("old: whole", times=20)
    split(people.url, people.stream, [0], 3)
    for number in range(20):
        raw.say("old", f"split {number}.", key=f"key {number}")
    tim.see("old: split", times=20)
    os.kill(workers_of(tim.pid)["read_worker"], signal.SIGKILL)
    split(people.url, people.stream, [1 << 32 | 1, 1 << 32 | 2, 1 << 32 | 3], 1)
    for number in range(20):
        raw.say("old", f"joined {number}.", key=f"key {number}")
    # The client's reader often brings nothing more when the segments it reads are joined (4 of 8 tries), and nothing
    # tells that from a quiet stream. An own message that does not come back does, and a new worker brings all of it.
    tim.enter("typed")
    tim.see("old: joined", times=20, deadline=60)
    alex = people.joins("alex")
    for terminal in (tim, alex):
        terminal.see("tim: typed")
    assert tim.count("another log") == alex.count("another log") == 0
    for word in ("whole", "split", "joined"):
        assert tim.count(f"old: {word}") == 20
    assert alex.count("old: joined") == 20 and alex.count("11 messages came before these") == 1
