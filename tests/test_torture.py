"""The torture in short, and its checker: it must catch a loss, a double and a swap that are planted on purpose."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.events import PLACE, log_of, said
from tests.storage.reading import History
from torture import checker, fuzz
from torture.checker import Evidence, Said
from torture.person import Line
from torture.run import GUESTS, OWNERS, sized
from torture.schedule import COUNTS, SHORT_COUNTS, scaled, schedule

COUNT = 12
EVENTS = [said(f"m{number:06}. text", number, sender) for number in range(COUNT) for sender in ("tim", "alex")]
LOG = checker.log_of(EVENTS)
SEED = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with a history of all of LOG."""
    (tmp_path / "logs" / "log").mkdir(parents=True)
    with History.open(tmp_path / "logs" / "log") as history:
        history.begin(PLACE, 0)
        history.store(log_of(EVENTS), PLACE)
    return tmp_path


def problems(folder: Path, log: list[Said] = LOG) -> list[str]:
    return checker.check(checker.evidence(log, [], {"mara": folder})).problems


def plant(folder: Path, *statements: str) -> None:
    (path,) = folder.glob("logs/log/history-*.db")
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_whole_history_is_well_also_when_the_log_holds_a_retry(folder: Path) -> None:
    assert problems(folder) == []
    retried = checker.check(checker.evidence([*LOG, LOG[3], LOG[3]], [], {"mara": folder}))
    assert (retried.problems, retried.messages, retried.again) == ([], 2 * COUNT, 2)


def test_a_planted_loss_is_caught(folder: Path) -> None:
    plant(folder, "DELETE FROM message WHERE number = 7")
    assert problems(folder) == ["mara's history has lost 1 messages: tim m000003"]


def test_a_planted_double_is_caught(folder: Path) -> None:
    plant(folder, "INSERT INTO message (key, offset, event) SELECT x'00', offset, event FROM message WHERE number = 4")
    assert problems(folder) == ["mara's history holds 1 messages twice: alex m000001"]


def test_a_planted_swap_is_caught(folder: Path) -> None:
    plant(
        folder,
        "UPDATE message SET number = 100 WHERE number = 5",
        "UPDATE message SET number = 5 WHERE number = 6",
        "UPDATE message SET number = 6 WHERE number = 100",
    )
    assert problems(folder) == [
        "mara's history has another order than the log from message 4 on: tim m000002 there, alex m000002 here"
    ]


def typed(count: int = COUNT) -> list[Line]:
    return [Line(number, float(number), life=0, read_back=number + 0.1) for number in range(count)]


def test_what_stands_in_the_log_is_held_against_what_was_typed() -> None:
    swapped = [LOG[2], LOG[0], *LOG[4:]]
    found = checker.check(Evidence(swapped, {}, {"tim": typed()})).problems
    assert found == ["tim's messages stand in another order than they were typed, from m000001 on"]
    (strange,) = checker.check(Evidence(LOG, {}, {"tim": typed(COUNT - 1)})).problems
    assert strange == f"tim never typed [{COUNT - 1}]"


@pytest.mark.parametrize(
    ("line", "full", "why"),
    [
        (Line(COUNT, 0.0, 0, read_back=1.0), False, "it had been read back"),
        (Line(COUNT, 0.0, 0, synced=True), False, "it was in the outbox when its terminal was killed"),
        (Line(COUNT, 0.0, 0), False, "its terminal was never killed"),
        (Line(COUNT, 0.0, 0, synced=False, waited=9.0), False, "it was not synced 9.0 s after Enter"),
        (Line(COUNT, 0.0, 0, synced=False, waited=9.0), True, ""),
        (Line(COUNT, 0.0, 0, synced=False, waited=0.1), False, ""),
    ],
)
def test_a_lost_line_is_excused_only_when_it_was_never_synced(line: Line, full: bool, why: str) -> None:
    verdict = checker.check(Evidence(LOG, {}, {"tim": [*typed(), line]}, full={("tim", 0)} if full else set()))
    assert verdict.problems == ([f"tim m{COUNT:06} is lost: {why}"] if why else [])
    assert verdict.never_synced == (not why)


def test_screens_and_outboxes_are_looked_at_too() -> None:
    shown = [(one.sender, one.number) for one in LOG[:4]]
    assert checker.check(Evidence(LOG, {}, screens={"tim": [shown, shown[2:]]})).problems == []
    for lives, what in (
        ([[*shown, shown[1]]], "1 messages stand twice"),
        ([[shown[1], shown[0]]], "another order than in the log"),
        ([[*shown, ("tim", 99)]], "not in the log"),
    ):
        (found,) = checker.check(Evidence(LOG, {}, screens={"tim": lives})).problems
        assert what in found
    (found,) = checker.check(Evidence(LOG, {}, waiting={"tim": {3}})).problems
    assert found == "1 messages still wait in tim's outbox: [3]"


def test_the_schedule_is_the_seed_s() -> None:
    faults = schedule(5, OWNERS, GUESTS, 700, COUNTS)
    assert faults == schedule(5, OWNERS, GUESTS, 700, COUNTS) != schedule(6, OWNERS, GUESTS, 700, COUNTS)
    assert len(faults) >= 200
    assert sum(fault.kind == "kill server" for fault in faults) >= 15
    assert sum(fault.kind.startswith("stop") and fault.length > 60 for fault in faults) >= 3
    assert all(0 <= fault.at <= 700 for fault in faults)


def test_guests_are_hit_too_but_not_by_the_kill_of_workers_that_they_have_not() -> None:
    hit: dict[str, set[str]] = {}
    for fault in schedule(5, OWNERS, GUESTS, 700, COUNTS):
        hit.setdefault(fault.kind, set()).add(fault.who)
    assert hit["kill prompt"] == hit["disk full"] == {*OWNERS, *GUESTS}
    for kind in ("kill reader", "kill writer", "stop reader", "stop writer"):
        assert hit[kind] == {*OWNERS}
    for kind in (
        "kill gate",
        "kill gate reader",
        "kill gate writer",
        "stop gate",
        "cut gate",
        "hole gate",
        "slow gate",
    ):
        assert hit[kind] == {""}, "all guests"


def test_in_fewer_minutes_less_is_typed_and_less_goes_wrong_but_of_everything_something() -> None:
    whole, part = sized(False, 15, 1000), sized(False, 2, 1000)
    assert whole.counts == COUNTS and whole.lines == 5 * part.lines
    assert sum(part.counts.values()) < sum(COUNTS.values()) / 4
    assert [kind for kind, count in part.counts.items() if not count] == [kind for kind in COUNTS if "long" in kind]
    assert scaled({"stop gate long": 1}, 0.6) == {"stop gate long": 1}


@pytest.mark.slow
def test_strange_events_lose_no_neighbour(tmp_path: Path) -> None:
    fuzzed = fuzz.fuzz(SEED, 4000, tmp_path)
    assert fuzzed.events == 4000 and 2000 < fuzzed.messages < fuzzed.readable < 4000


@pytest.mark.real
@pytest.mark.timeout(300)
def test_the_torture_in_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "torture", "--short", "--seed", str(SEED), "--folder", str(tmp_path / "torture")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280)
    with capsys.disabled():
        print(f"\n{done.stdout}")
    assert done.returncode == 0, done.stdout
    assert f"{sum(SHORT_COUNTS.values())} faults survived" in done.stdout
