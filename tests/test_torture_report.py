"""From what a run has found to the lines that are printed, the file that is kept and docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from torture import report
from torture.checker import Verdict
from torture.fault_runner import FaultRunner, Hit
from torture.faults import Faults
from torture.fuzz import Fuzzed
from torture.part import Part
from torture.run import Echo, Outcome
from torture.schedule import Fault

ALREADY = report.DOCS.read_text("utf-8")


def part(name: str, restarts: list[float]) -> Part:
    found = Part(name, psutil.Process, lambda: True, 1.0)
    found.restarts, found.states = restarts, [(0.0, "well"), (10.0, "dead"), (12.0, "well")]
    return found


def outcome() -> Outcome:
    """One of a run in which a gate was killed, and then a server."""
    runner, faults = FaultRunner.__new__(FaultRunner), Faults.__new__(Faults)
    faults.server, faults.gate = part("server", [7.0]), part("gate", [1.5, 2.5])
    runner.faults, runner.people, runner.missed, runner.problems = faults, [], [], []
    runner.hits = [
        Hit(Fault(1.0, kind, ""), 1.0, 1.0, lambda: True, proved=True, recovered=recovered)
        for kind, recovered in (("kill gate", 3.0), ("kill server", 9.0), ("hole gate", None))
    ]
    echoes = {"owner": [Echo(5.0, 3.0, 0.1)], "guest": [Echo(5.0, 4.0, 0.2), Echo(11.0, 60.0, 0.3)]}
    return Outcome(runner, Verdict([], 8, 1, 0), echoes, Fuzzed(10, 9, 8, 1.0), 5, 60.0)


@pytest.fixture
def found() -> report.Figures:
    asked = {"client": "wheel", "asked minutes": 2.0, "asked events": 10}
    return report.figures(outcome(), 4, (0.5, 1.5)) | asked


def test_what_guests_saw_is_printed_beside_what_owners_saw(found: report.Figures) -> None:
    said = report.lines(found)
    assert "3 faults survived, 3 of them proved" in said[0]
    for row in (
        "| kill gate | 1, 3.0 s, 3.0 s |",
        "| hole gate | 1, – |",
        "| key to an owner's echo, server | wheel, seed 4: p50, p99, max (keys) |",
        "| in all | 3.0, 3.0, 3 ms (1) |",
        "| key to a guest's echo, gate | wheel, seed 4: p50, p99, max (keys) |",
        "| in all | 4.0, 60.0, 60 ms (2) |",
        "| dead | 60.0, 60.0, 60 ms (1) |",
    ):
        assert row in said
    assert [row for row in said if row.startswith("| p99 under")] == [
        "| p99 under 50 ms, max under 250 ms | met, met |",
        "| p99 under 50 ms, max under 250 ms | NOT met, met |",
    ]


def test_the_docs_are_written_from_kept_runs(
    found: report.Figures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = tmp_path / "reliability.md"
    docs.write_text(ALREADY, "utf-8")
    monkeypatch.setattr(report, "BUILD", tmp_path / "build")
    monkeypatch.setattr(report, "DOCS", docs)
    report.keep(found)
    report.write_docs()
    written = docs.read_text("utf-8")
    (measured,) = report.PART.findall(written)
    assert report.PART.sub("", written) == report.PART.sub("", ALREADY), "what a person wrote stays"
    for row in (
        '| run | `make torture ARGS="--client wheel --seed 4 --minutes 2 --events 10"` |',
        "| gate away, longest | 2.5 s of 2 times |",
        "| server away, longest | 7.0 s of 1 times |",
        "| kill gate | 1, 3.0 s, 3.0 s |",
        "| key to a guest's echo, gate | wheel, seed 4: p50, p99, max (keys) |",
    ):
        assert row in measured.splitlines()
