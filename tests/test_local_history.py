"""What the chat remembers: from disk before any network, each message once, whatever happens to files and logs."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import People, Server, start_server
from tests.environment import STREAMCLI, workers_of
from tests.raw import Raw
from tests.terminal import Terminal

WIDE = 400


def data_of(people: People, name: str) -> Path:
    return Path(people.env(name)["HOME"]) / ".local/share/streamcli" / name


def history_of(people: People, name: str) -> Path:
    (path,) = data_of(people, name).glob("logs/*/history-*.db")
    return path


def leaves(terminal: Terminal) -> None:
    terminal.type("\x04")
    assert terminal.end() == 0


def texts(terminal: Terminal, sender: str = "alex") -> list[str]:
    return [line.partition(f"{sender}: ")[2] for line in terminal.lines() if f"{sender}: " in line]


def test_a_start_shows_the_last_screenful_from_disk_and_then_what_is_new(
    people: People, raw: Raw, server: Server
) -> None:
    for number in range(70):
        raw.say("alex", f"message {number}.", sent_at="2026-11-20T14:03:00Z")
    leaves(people.joins("tim"))
    with server.stopped_in_its_tracks():
        tim = people.opens("tim", lines=80)
        tim.see("alex: message 69.")
        tim.see_last("connecting")
        assert texts(tim) == [f"message {number}." for number in range(20, 70)]
        assert tim.count("20 November 2026") == 1
        tim.enter("/history 60")
        tim.see("-- The last 60 messages:")
        tim.see("alex: message 10.")
    tim.connected()
    leaves(tim)
    for number in range(70, 73):
        raw.say("alex", f"message {number}.")
    tim = people.joins("tim")
    tim.see("-- 3 new since 20 November 14:03")
    tim.see("alex: message 72.")
    assert texts(tim) == [f"message {number}." for number in range(20, 73)]
    os.kill(tim.pid, signal.SIGKILL)
    tim.end()
    for number in range(73, 133):
        raw.say("alex", f"message {number}.")
    tim = people.joins("tim")
    tim.see("-- 60 new, the last 50:")
    assert texts(tim) == [f"message {number}." for number in [*range(23, 73), *range(83, 133)]]


@pytest.mark.parametrize("how", ["deleted", "overwritten", "cut", "emptied"])
def test_a_history_that_is_gone_or_damaged_is_read_anew(how: str, people: People, raw: Raw) -> None:
    for number in range(3):
        raw.say("alex", f"message {number}.")
    leaves(people.joins("tim"))
    path = history_of(people, "tim")
    for beside in (path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        beside.unlink(missing_ok=True)
    if how == "deleted":
        path.unlink()
    elif how == "overwritten":
        path.write_bytes(b"x" * path.stat().st_size)
    elif how == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DROP TABLE message")
    tim = people.opens("tim", columns=WIDE).connected()
    tim.see("alex: message 2.")
    assert texts(tim) == ["message 0.", "message 1.", "message 2."]
    if how == "deleted":
        assert tim.count("damaged") == 0
    else:
        tim.see("The history was damaged: it is read anew from the log. The old file is")
        assert list(path.parent.glob(f"{path.name}*.damaged"))
    leaves(tim)
    tim = people.joins("tim")
    assert texts(tim) == ["message 0.", "message 1.", "message 2."]
    assert tim.count("damaged") == tim.count(" new") == 0


def test_two_terminals_of_one_user_see_all_and_keep_one_history(people: People, raw: Raw) -> None:
    one, two = people.joins("tim"), people.joins("tim")
    one.enter("from one")
    two.see("tim: from one")
    two.enter("from two")
    for terminal in (one, two):
        terminal.see("tim: from two")
        terminal.see("tim: from one")
    os.kill(one.pid, signal.SIGKILL)
    one.end()
    raw.say("alex", "message.")
    two.see("alex: message.")
    leaves(two)
    again = people.joins("tim")
    assert again.count("tim: from one") == again.count("tim: from two") == again.count("alex: message.") == 1
    assert again.count(" new") == 0
    with contextlib.closing(sqlite3.connect(f"file:{history_of(people, 'tim')}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM message").fetchone() == (3,)


def test_a_living_terminals_messages_are_not_taken_over_and_a_dead_ones_are(
    people: People, raw: Raw, server: Server
) -> None:
    one, two = people.joins("tim"), people.joins("tim")
    with server.stopped_in_its_tracks():
        one.enter("from one")
        two.enter("from two")
        for terminal in (one, two):
            terminal.see_last("1 pending")
        os.kill(one.pid, signal.SIGKILL)
        one.end()
        three = people.opens("tim")
        three.see_last("1 pending")
        three.enter("from three")
        three.see_last("2 pending")
    for terminal in (two, three):
        for text in ("from one", "from two", "from three"):
            terminal.see(f"tim: {text}")
            assert terminal.count(f"tim: {text}") == 1
    ids = [message["id"] for message in raw.messages()]
    assert len(set(ids)) == 3
    order = list(dict.fromkeys(message["message"] for message in raw.messages()))
    assert order.index("from one") < order.index("from three")


def test_a_reader_that_dies_while_the_disk_is_slow_is_followed_by_one_that_goes_on(people: People, raw: Raw) -> None:
    tim, mara = people.joins("tim"), people.joins("mara")
    with contextlib.closing(sqlite3.connect(history_of(people, "tim"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        workers = workers_of(tim.pid)
        raw.say("alex", "message 1.", text="x" * 5000)
        mara.see("alex: message 1.")  # tim's reader has brought it too; it can't be stored yet
        os.kill(workers["read_worker"], signal.SIGKILL)
        # A second in which a new reader would have opened the log. Nothing tells that there is none, and what lasts
        # longer than 2 s would be taken for a disk of no use.
        time.sleep(1)
        if workers["read_worker"] != workers["write_worker"]:  # the Java client's host is back already, for the writer
            assert "read_worker" not in workers_of(tim.pid), "it waits until all is stored that the first one brought"
        other.execute("ROLLBACK")
    raw.say("alex", "message 2.")
    tim.see("alex: message 2.")
    assert texts(tim) == ["message 1.", "message 2."]
    assert tim.count("another log") == 0
    history_of(people, "tim")  # there is still only one


def test_a_message_that_comes_again_after_a_restart_is_not_shown_again(people: People, raw: Raw) -> None:
    raw.say("alex", "once and for all.", id="a-retry")
    for number in range(60):  # so that it is no more among the last that a start shows
        raw.say("alex", f"message {number}.")
    leaves(people.joins("tim"))
    raw.say("alex", "once and for all.", id="a-retry")
    raw.say("alex", "message 60.")
    tim = people.joins("tim")
    tim.see("alex: message 60.")
    assert tim.count("-- 1 new") == 1
    raw.say("alex", "once and for all.", id="a-retry")
    raw.say("alex", "message 61.")
    tim.see("alex: message 61.")
    assert texts(tim) == [f"message {number}." for number in range(10, 62)]


def test_a_full_disk_costs_a_catch_up(people: People, raw: Raw) -> None:
    raw.say("alex", "message 0.")
    leaves(people.joins("tim"))
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", *STREAMCLI, people.url, "tim"]
    with Terminal(limited, people.env("tim"), columns=WIDE).connected() as tim:
        for number in range(1, 40):
            raw.say("alex", f"message {number}.", text="x" * 2000)
        tim.see("alex: message 39.")
        tim.see("Nothing more is kept in the history until the next start; the log has it all.")
        assert texts(tim) == [f"message {number}." for number in range(40)]
        leaves(tim)
    tim = people.joins("tim")
    tim.see("alex: message 39.")
    assert texts(tim) == [f"message {number}." for number in range(40)]
    leaves(tim)
    tim = people.joins("tim")
    assert texts(tim) == [f"message {number}." for number in range(40)]


def test_a_stream_made_anew_is_another_log_with_a_history_of_its_own(people: People, raw: Raw) -> None:
    # It was made by the raw client, so it has no id of its own; it is known by the event at the last position.
    raw.say("alex", "the old log.")
    leaves(people.joins("tim"))
    raw.delete_stream()
    for number in range(5):
        raw.say("alex", f"new {number}.")  # longer than the old one: its position says nothing
    tim = people.opens("tim", columns=WIDE).connected()
    tim.see("This is another log than before: it was made anew, or restored from an older copy. Your history is kept.")
    tim.see("alex: new 4.")
    assert texts(tim) == ["the old log.", *(f"new {number}." for number in range(5))]
    leaves(tim)
    tim = people.joins("tim")
    assert texts(tim) == [f"new {number}." for number in range(5)]
    assert tim.count("another log") == 0
    assert len(list(data_of(people, "tim").glob("logs/*/history-*.db"))) == 2


def test_a_stream_made_anew_under_a_running_chat(people: People, raw: Raw) -> None:
    tim = people.opens("tim", columns=WIDE).connected()
    raw.say("alex", "the old log.", sent_at="2026-01-02T10:00:00Z")
    tim.see("alex: the old log.")
    raw.delete_stream()
    raw.say("bob", "the new one.", sent_at="2026-01-01T10:00:00Z")  # not early: it is the first here
    tim.see("This is another log than before")
    tim.see("bob: the new one.")
    assert tim.count("early") == 0
    tim.enter("and here I am")
    tim.see("tim: and here I am")
    leaves(tim)
    tim = people.joins("tim")
    assert texts(tim, "bob") == ["the new one."]
    assert tim.count("tim: and here I am") == 1


def test_a_head_cut_off_beyond_what_was_read_is_said(people: People, raw: Raw) -> None:
    raw.say("alex", "read.")
    leaves(people.joins("tim"))
    raw.say("alex", "never read.")
    _, tail = raw.bounds()
    raw.truncate(tail)
    raw.say("alex", "still there.")
    tim = people.opens("tim", columns=WIDE).connected()
    tim.see("The head of the log was cut off meanwhile: what was not read before is gone.")
    tim.see("alex: still there.")
    assert texts(tim) == ["read.", "still there."]
    leaves(tim)
    tim = people.joins("tim")
    assert texts(tim) == ["read.", "still there."]
    assert tim.count("cut off") == 0


def test_another_server_behind_the_same_address(own_server: Server, tmp_path: Path, stream: str) -> None:
    env = {**own_server.env, "STREAMCLI_STREAM": stream}
    with Terminal([*STREAMCLI, "--id", "tim"], env, columns=WIDE).connected() as tim:
        tim.enter("in the first log")
        tim.see("tim: in the first log")
        leaves(tim)
    own_server.stop()
    again = start_server(own_server.env)  # all it held is gone
    try:
        with Terminal([*STREAMCLI, "--id", "tim"], env, columns=WIDE) as tim:
            tim.see("tim: in the first log")
            tim.see("This is another log than before")
            tim.connected()
            tim.enter("in the second")
            tim.see("tim: in the second")
            leaves(tim)
        with Terminal([*STREAMCLI, "--id", "tim"], env, columns=WIDE).connected() as tim:
            assert tim.count("tim: in the second") == 1
            assert tim.count("tim: in the first log") == tim.count("another log") == 0
    finally:
        again.stop()


def test_a_log_without_an_id_is_known_by_what_stands_in_it(own_server: Server, tmp_path: Path, stream: str) -> None:
    env = {**own_server.env, "STREAMCLI_STREAM": stream}
    tim = [*STREAMCLI, "--id", "tim"]
    with Raw(own_server.url, stream) as raw, Terminal(tim, env, columns=WIDE).connected() as terminal:
        raw.say("alex", "in the first log.")
        terminal.see("alex: in the first log.")
        leaves(terminal)
    own_server.stop()
    again = start_server(own_server.env)
    try:
        with Raw(again.url, stream) as raw:
            for number in range(9):  # longer than the first: its tail says nothing
                raw.say("alex", f"in the second {number}.")
            with Terminal(tim, env, columns=WIDE) as terminal:
                terminal.see("This is another log than before")
                terminal.see("alex: in the second 8.")
                assert texts(terminal) == ["in the first log.", *(f"in the second {number}." for number in range(9))]
    finally:
        again.stop()


def test_a_damaged_outbox_is_set_aside_and_said(people: People, raw: Raw, server: Server) -> None:
    tim = people.joins("tim")
    with server.stopped_in_its_tracks():
        tim.enter("nobody will read this")
        tim.see_last("1 pending")
        leaves(tim)
        (path,) = data_of(people, "tim").glob("outbox/*/outbox-*.db")
        for beside in path.parent.glob(f"{path.name}-*"):
            beside.unlink()
        path.write_bytes(b"x" * 5000)
        tim = people.opens("tim", columns=WIDE)
        tim.see("The outbox was damaged, and what waited in it is not sent. The old file is")
        tim.enter("this one is")
        tim.see_last("1 pending")
        os.kill(tim.pid, signal.SIGKILL)
        tim.end()
    tim = people.joins("tim")
    tim.see("tim: this one is")
    assert tim.count("damaged") == 0


def test_long_after_it_was_typed_a_message_says_when(people: People, raw: Raw, server: Server) -> None:
    with server.stopped_in_its_tracks():
        tim = people.opens("tim")
        tim.enter("in the tunnel")
        tim.see_last("1 pending")
        os.kill(tim.pid, signal.SIGKILL)
        tim.end()
    (path,) = data_of(people, "tim").glob("outbox/*/outbox-*.db")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        (event,) = connection.execute("SELECT event FROM entry").fetchone()
        assert b'"typed_at": "' in event
        at = event.index(b'"typed_at": "') + len(b'"typed_at": "')
        long_ago = event[:at] + b"2026-11-20T14:03:00.000Z" + event[at + 24 :]
        connection.execute("UPDATE entry SET event = ?", (long_ago,))
    tim = people.joins("tim")
    tim.see("tim: in the tunnel (typed 20 November 14:03)")
    alex = people.joins("alex")
    alex.see("tim: in the tunnel (typed 20 November 14:03)")


def test_search_finds_what_was_said_at_once_and_long_ago(people: People, raw: Raw) -> None:
    raw.say("alex", "the quick brown fox")
    tim = people.joins("tim")
    for number in range(30):
        raw.say("alex", f"filler {number}.")
    tim.see("alex: filler 29.")
    tim.enter("/search BRO")
    tim.see("alex: the quick brown fox", times=2)
    tim.enter("/search filler")
    tim.see("Newest 20 of more than 20 matches:")
    tim.enter("/search nowhere")
    tim.see("Nothing found.")
    tim.enter("/search ***")
    tim.see("No words to search for in “***”.")


def test_a_clock_that_is_off_is_marked_and_the_logs_order_stays(people: People, raw: Raw) -> None:
    for number, sender in enumerate(["alex", "bob", "carl", "alex", "bob"]):
        raw.say(sender, f"message {number}.", sent_at=f"2026-11-20T14:0{number}:00Z")
    raw.say("dora", "behind.", sent_at="2026-11-20T13:04:00Z")
    raw.say("emil", "ahead.", sent_at="2026-11-23T14:05:00Z")
    raw.say("carl", "message 6.", sent_at="2026-11-20T14:06:00Z")
    raw.say("bob", "message 7.", sent_at="2026-11-20T14:06:30Z")
    tim = people.opens("tim", columns=WIDE).connected()
    tim.see("13:04 dora: behind. (time 59 min early)")
    tim.see("14:05 emil: ahead. (time 2 d late)")
    assert tim.count("(time ") == 2
    senders = [line.split()[1] for line in tim.lines() if line[2:3] == ":"]
    assert senders == ["alex:", "bob:", "carl:", "alex:", "bob:", "dora:", "emil:", "carl:", "bob:"]


def test_all_that_is_kept_is_private_and_lies_where_doctor_says(people: People, raw: Raw) -> None:
    tim = people.joins("tim")
    tim.enter("hello")
    tim.see("tim: hello")
    tim.enter("/search hello")
    tim.see("1 message found:")
    home = Path(people.env("tim")["HOME"])
    root = home / ".local/share/streamcli"
    kept = [root, *root.rglob("*")]
    assert len(kept) > 8
    for path in kept:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    files = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    assert all(path.startswith((".local/share/streamcli/tim/", ".local/state/streamcli/")) for path in files), files
    doctor = [*STREAMCLI, "doctor", "--url", people.url, "--id", "tim"]
    told = subprocess.run(doctor, env=people.env("tim"), capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout
    for path in (root, history_of(people, "tim")):
        assert str(path) in told.stdout
    (outbox,) = root.glob("tim/outbox/*")
    assert str(outbox) in told.stdout
