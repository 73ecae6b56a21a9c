"""One run from the first prompt to the verdict: the storm, the calm after it, and the strange events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from streamcli.model.message import Unreadable
from streamcli.server import login, state
from streamcli.ui.json_lines import wire_line
from tests.raw import Raw
from torture import checker, fuzz, schedule
from torture.checker import Verdict
from torture.house import STREAMCLI, House
from torture.person import Person
from torture.storm import Storm

EMBEDDED, GUESTS, TYPIST = ("tim", "alex"), ("mara", "jo"), "kim"
FAULTS_UNTIL = 0.93  # of the time in which people type, so that the last fault is still recovered from
CALM = 180.0  # seconds for everything to arrive at the end
FUZZ_STREAM = "fuzz"
AT_ONCE = 250  # strange events written with one flush


@dataclass(frozen=True)
class Size:
    """How much is done."""

    lines: int  # of each person
    seconds: float
    counts: dict[str, int]
    events: int  # through decode, fold, history and drawing
    logged: int  # through the real log


def sized(short: bool, minutes: float, events: int) -> Size:
    """That of a whole run, or of a short one."""
    if short:
        return Size(40, 20.0, schedule.SHORT_COUNTS, 3000, 300)
    return Size(2000, minutes * 60, schedule.COUNTS, events, 10_000)


class Echo(NamedTuple):
    """When (monotonic) a key was pressed, and milliseconds: to its echo, and by which a timer beside it was late."""

    at: float
    took: float
    late: float


@dataclass
class Outcome:
    """All that a run has found."""

    storm: Storm
    verdict: Verdict
    echoes: list[Echo]
    fuzzed: fuzz.Fuzzed
    logged: int  # strange events that came through the real log
    seconds: float

    @property
    def problems(self) -> list[str]:
        """What must not be; empty when all went well."""
        return self.storm.problems + self.verdict.problems


def run(house: House, seed: int, size: Size) -> Outcome:
    """Do it all."""
    begun = time.monotonic()
    faults = schedule.schedule(seed, (*EMBEDDED, *GUESTS), size.seconds * FAULTS_UNTIL, size.counts)
    (house.folder / "schedule.json").write_text(json.dumps([asdict(fault) for fault in faults], indent=1))
    if not house.start():
        sys.exit(f"the server did not start: see {house.folder / 'server-start.log'}")
    people = [Person(name, house.env, house.folder / "screens") for name in EMBEDDED]
    people += [Person(name, house.guest(name), house.folder / "screens") for name in GUESTS]
    with (house.folder / "events.log").open("w") as note:
        storm = Storm(house, people, faults, seed, note)
        with _typist(house) as echoes:
            storm.run(size.seconds, size.lines)
            events = _calm(house, storm, people)
        storm.judge(checker.times_of(events))
        found = checker.evidence(checker.log_of(events), people, {TYPIST: _typist_s(house)})
        verdict = checker.check(found)
        storm.say(f"checked: {verdict}")
        logged = _through_the_log(house, seed, size.logged, storm)
    with tempfile.TemporaryDirectory(dir=house.folder) as folder:
        fuzzed = fuzz.fuzz(seed, size.events, Path(folder))
    return Outcome(storm, verdict, echoes, fuzzed, logged, time.monotonic() - begun)


@contextmanager
def _typist(house: House) -> Iterator[list[Echo]]:
    """Somebody types at another prompt; the list is filled at the end."""
    file, echoes = house.folder / "echo.txt", list[Echo]()
    here = str(Path(__file__).parent.parent)
    with (house.folder / "echo.log").open("w") as log:
        typist = subprocess.Popen(
            [sys.executable, "-m", "torture.echo", str(file), TYPIST],
            env=house.guest(TYPIST) | {"PYTHONPATH": here},
            stdin=subprocess.PIPE,
            stderr=log,
        )
        assert typist.stdin
        try:
            yield echoes
        finally:
            typist.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                typist.wait(15)
            typist.kill()
    for line in file.read_text("ascii").splitlines():
        echoes.append(Echo(*map(float, line.split())))


def _typist_s(house: House) -> Path:
    """The folder of the histories of who types and never sends."""
    return house.folder / TYPIST / ".local/share/streamcli" / TYPIST


def _calm(house: House, storm: Storm, people: list[Person]) -> list[bytes]:
    """Reopen everybody calmly, wait until nothing waits any more, have them leave, and return the raw log."""
    storm.say("calm")
    storm.calm()
    lives = [len(person.lives) for person in people]
    for person in people:
        person.leave()
    storm.listen_for(60, lambda: all(p.ready() and len(p.lives) > n for p, n in zip(people, lives, strict=True)))
    if not storm.listen_for(CALM, lambda: not any(person.outbox() for person in people)):
        storm.problem(f"after {CALM:.0f} s of calm messages still wait")
    count = len(set(checker.log_of(_log(house))))
    folders = [_typist_s(house), *(person.data for person in people)]
    if not storm.listen_for(CALM, lambda: all(checker.count_of(folder) >= count for folder in folders)):
        storm.problem(f"after {CALM:.0f} s of calm not everybody's history is as long as the log")
    for person in people:
        person.stays_closed = True
        person.leave()
    storm.listen_for(30, lambda: all(person.life is None for person in people))
    for person in people:
        if person.life:
            storm.problem(f"{person.name} can't leave")
            person.kill()
        elif person.lives[-1].code:
            storm.problem(f"{person.name}'s last chat ended with {person.lives[-1].code}")
    return _log(house)


def _log(house: House) -> list[bytes]:
    """All events of the log, in its order."""
    record, account = state.read(), login()
    assert record and account
    with Raw(record.ports.url, house.env["STREAMCLI_STREAM"], login=account) as raw:
        return list(raw.events())


def _through_the_log(house: House, seed: int, count: int, storm: Storm) -> int:
    """Write strange events to the real log beside a chat that reads, and hold its history and `tail` against them."""
    events = list(fuzz.events(seed + 1_000_000, count))
    record, account = state.read(), login()
    assert record and account
    env = house.guest("nina") | {"STREAMCLI_STREAM": FUZZ_STREAM}
    reader = Person("nina", env, house.folder / "screens")
    with Raw(record.ports.url, FUZZ_STREAM, login=account) as raw:
        others = Storm(house, [reader], [], seed, storm.note)
        others.listen_for(30, reader.ready)
        for first in range(0, count, AT_ONCE):
            raw.write(*events[first : first + AT_ONCE])
            others.listen_for(0.05)
        raw.write(b'{"sender": "nina", "message": "the end of it"}')
        wanted = fuzz.readable([*events, b'{"sender": "nina", "message": "the end of it"}'])
        if not others.listen_for(CALM, lambda: len(checker.stored(reader.data)) >= len(wanted)):
            storm.problem("not all strange events came through the log in time")
        others.listen_for(2)
        reader.stays_closed = True
        reader.leave()
        others.listen_for(15, lambda: reader.life is None)
        reader.kill()
    if (there := checker.stored(reader.data)) != wanted:
        storm.problem(
            f"of the strange events the history holds {len(there)}, and {len(wanted)} in the log are readable"
        )
    printed = _tail(house, FUZZ_STREAM)
    if printed != [wire_line(message) for message in wanted if not isinstance(message, Unreadable)]:
        storm.problem(f"of the strange events tail prints {len(printed)}, and {len(wanted)} in the log are readable")
    storm.problems += others.problems
    return count


def _tail(house: House, stream: str) -> list[str]:
    """What `streamcli tail` prints, from head to tail."""
    command = [*STREAMCLI, "tail", "--json", "--no-follow", "--timeout", "60"]
    env = house.env | {"STREAMCLI_STREAM": stream}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=300)
    return done.stdout.decode("utf-8", "surrogatepass").splitlines()


def load() -> float:
    """How many processes want to run."""
    return os.getloadavg()[0]
