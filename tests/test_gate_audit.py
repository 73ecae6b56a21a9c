"""The gate's audit file: one line for whatever happens, and few for what strangers do."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from streamcli.gate.audit import MAX_BYTES, Audit
from streamcli.system.clock import Clock
from tests.fake_clock import fake_clock


@pytest.fixture
def clock() -> Clock:
    return fake_clock()


@pytest.fixture
def audit(tmp_path: Path, clock: Clock) -> Audit:
    return Audit(tmp_path, clock)


def lines(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "audit.log").read_text("utf-8").splitlines()]


def test_each_line_says_when_what_who_from_where_and_why(audit: Audit, tmp_path: Path) -> None:
    audit.say("came", "alex", "192.0.2.1")
    audit.say("removed", "jürgen 日本", why='he asked "why"\nand went')
    assert lines(tmp_path) == [
        {"at": "2027-01-15T08:00:00.000+00:00", "what": "came", "name": "alex", "from": "192.0.2.1"},
        {
            "at": "2027-01-15T08:00:00.000+00:00",
            "what": "removed",
            "name": "jürgen 日本",
            "why": 'he asked "why"\nand went',
        },
    ]
    assert (tmp_path / "audit.log").read_text("utf-8").count("\n") == 2
    assert "jürgen 日本" in (tmp_path / "audit.log").read_text("utf-8"), "for people"
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


def test_of_strangers_one_line_a_second_is_written(audit: Audit, tmp_path: Path, clock: Clock) -> None:
    for _ in range(50):
        for number in range(100):
            audit.refuse_stranger(f"192.0.2.{number}", "not a guest")
            clock.sleep(0.01)
    written = lines(tmp_path)
    assert 49 <= len(written) <= 51
    assert written[0] == {"at": written[0]["at"], "what": "refused", "from": "192.0.2.0", "why": "not a guest"}
    left_out = [int(line["why"].split("; ")[1].split()[0]) for line in written[1:]]
    assert sum(left_out) + len(written) + 100 > 50 * 100, "and the next line says how many were left out"


def test_guests_are_not_left_out_because_of_strangers(audit: Audit, tmp_path: Path, clock: Clock) -> None:
    for _ in range(10):
        audit.refuse_stranger("192.0.2.1", "not a guest")
        audit.say("came", "alex")
    assert [line["what"] for line in lines(tmp_path)].count("came") == 10
    clock.sleep(1)
    audit.refuse_stranger("192.0.2.1", "not a guest")
    assert lines(tmp_path)[-1]["why"] == "not a guest; 9 others before"


def test_the_file_is_bounded(audit: Audit, tmp_path: Path) -> None:
    long = "x" * 10_000
    for _ in range(3 * MAX_BYTES // len(long)):
        audit.say("refused", why=long)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"audit.log", "audit.log.1"}
    assert all(size <= MAX_BYTES + 2 * len(long) for size in sizes.values())


def test_a_file_that_can_not_be_written_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "audit.log").mkdir()
    Audit(tmp_path).say("came", "alex")
    assert "the audit file can't be written" in caplog.text


def test_who_write_side_by_side_write_whole_lines(tmp_path: Path) -> None:
    """The gate and the owner's commands do."""

    def write(name: str) -> None:
        one = Audit(tmp_path)
        for _ in range(200):
            one.say("came", name * 100)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(tmp_path)) == 600
