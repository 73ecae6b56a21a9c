"""One run from the first prompt to the verdict: the faults, the calm after them, and the strange events."""

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
from tests.environment import STREAMCLI
from tests.raw import Raw
from torture import checker, fuzz, schedule
from torture.checker import Verdict
from torture.fault_runner import FaultRunner
from torture.person import Person
from torture.testbed import OWNER, Testbed

# One owner on the embedded server, one who names it by its URL, and two guests; beside them an owner and a guest who
# type and never send.
BY_URL = "alex"
OWNERS, GUESTS = (OWNER, BY_URL), ("mara", "jo")
TYPISTS = {"owner": "kim", "guest": "lou"}
FAULTS_UNTIL = 0.93  # of the time in which people type, so that the last fault is still recovered from
WHOLE = 10.0  # minutes: in fewer of them less is typed, and less goes wrong
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
    """That of a whole run, of its share if there are fewer minutes than it needs, or of a short one."""
    if short:
        return Size(40, 20.0, schedule.SHORT_COUNTS, 3000, 300)
    share = min(1.0, minutes / WHOLE)
    counts = schedule.scaled(schedule.COUNTS, share)
    return Size(round(2000 * share), minutes * 60, counts, events, round(10_000 * share))


class Echo(NamedTuple):
    """When (monotonic) a key was pressed, and milliseconds: to its echo, and by which a timer beside it was late."""

    at: float
    took: float
    late: float


@dataclass
class Outcome:
    """All that a run has found."""

    runner: FaultRunner
    verdict: Verdict
    echoes: dict[str, list[Echo]]  # of an owner, and of a guest
    fuzzed: fuzz.Fuzzed
    logged: int  # strange events that came through the real log
    seconds: float

    @property
    def problems(self) -> list[str]:
        """What must not be; empty when all went well."""
        return self.runner.problems + self.verdict.problems


def run(testbed: Testbed, seed: int, size: Size) -> Outcome:
    """Do it all."""
    begun = time.monotonic()
    faults = schedule.schedule(seed, OWNERS, GUESTS, size.seconds * FAULTS_UNTIL, size.counts)
    (testbed.folder / "schedule.json").write_text(json.dumps([asdict(fault) for fault in faults], indent=1))
    if not testbed.start():
        sys.exit(f"the server did not start: see {testbed.folder / 'server-start.log'}")
    screens = testbed.folder / "screens"
    people = [Person(OWNER, testbed.env, screens), Person(BY_URL, testbed.by_url(BY_URL), screens)]
    people += [Person(name, testbed.guest(name), screens, OWNER) for name in GUESTS]
    owner, guest = TYPISTS["owner"], TYPISTS["guest"]
    with (testbed.folder / "events.log").open("w") as note:
        runner = FaultRunner(testbed, people, faults, seed, note)
        with (
            _typist(testbed, owner, testbed.by_url(owner), "--id", owner) as of_owner,
            _typist(testbed, guest, testbed.guest(guest), OWNER) as of_guest,
        ):
            runner.run(size.seconds, size.lines)
            events = _calm(testbed, runner, people)
        for name in (*GUESTS, guest):
            if ways := testbed.ways_past_the_proxy(name):
                runner.problem(f"{name} could get past the gate's fault proxy: {ways}")
        runner.judge(checker.times_of(events))
        listeners = {name: _history(testbed, name) for name in TYPISTS.values()}
        found = checker.evidence(checker.log_of(events), people, listeners)
        verdict = checker.check(found)
        runner.say(f"checked: {verdict}")
        logged = _through_the_log(testbed, seed, size.logged, runner)
    with tempfile.TemporaryDirectory(dir=testbed.folder) as folder:
        fuzzed = fuzz.fuzz(seed, size.events, Path(folder))
    echoes = {"owner": of_owner, "guest": of_guest}
    return Outcome(runner, verdict, echoes, fuzzed, logged, time.monotonic() - begun)


@contextmanager
def _typist(testbed: Testbed, name: str, env: dict[str, str], *words: str) -> Iterator[list[Echo]]:
    """Somebody types at another prompt, opened with ``words``; the list is filled at the end."""
    file, echoes = testbed.folder / f"echo-{name}.txt", list[Echo]()
    here = str(Path(__file__).parent.parent)
    with file.with_suffix(".log").open("w") as log:
        typist = subprocess.Popen(
            [sys.executable, "-m", "torture.echo", str(file), *words],
            env=env | {"PYTHONPATH": here},
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


def _history(testbed: Testbed, name: str) -> Path:
    """The folder of the histories of who types and never sends."""
    return testbed.folder / name / ".local/share/streamcli" / name


def _calm(testbed: Testbed, runner: FaultRunner, people: list[Person]) -> list[bytes]:
    """Reopen everybody calmly, wait until nothing waits any more, have them leave, and return the raw log."""
    runner.say("calm")
    runner.calm()
    lives = [len(person.lives) for person in people]
    for person in people:
        person.leave()
    runner.listen_for(60, lambda: all(p.ready() and len(p.lives) > n for p, n in zip(people, lives, strict=True)))
    if not runner.listen_for(CALM, lambda: not any(person.outbox() for person in people)):
        runner.problem(f"after {CALM:.0f} s of calm messages still wait")
    count = len(set(checker.log_of(_log(testbed))))
    folders = [*(_history(testbed, name) for name in TYPISTS.values()), *(person.data for person in people)]
    if not runner.listen_for(CALM, lambda: all(checker.count_of(folder) >= count for folder in folders)):
        runner.problem(f"after {CALM:.0f} s of calm not everybody's history is as long as the log")
    for person in people:
        person.stays_closed = True
        person.leave()
    runner.listen_for(30, lambda: all(person.life is None for person in people))
    for person in people:
        if person.life:
            runner.problem(f"{person.name} can't leave")
            person.kill()
        elif person.lives[-1].code:
            runner.problem(f"{person.name}'s last chat ended with {person.lives[-1].code}")
    return _log(testbed)


def _log(testbed: Testbed) -> list[bytes]:
    """All events of the log, in its order."""
    record, account = state.read(), login()
    assert record and account
    with Raw(record.ports.url, testbed.env["STREAMCLI_STREAM"], login=account) as raw:
        return list(raw.events())


def _through_the_log(testbed: Testbed, seed: int, count: int, runner: FaultRunner) -> int:
    """Write strange events to the real log beside a chat that reads, and hold its history and `tail` against them."""
    events = list(fuzz.events(seed + 1_000_000, count))
    record, account = state.read(), login()
    assert record and account
    env = testbed.by_url("nina") | {"STREAMCLI_STREAM": FUZZ_STREAM}
    reader = Person("nina", env, testbed.folder / "screens")
    with Raw(record.ports.url, FUZZ_STREAM, login=account) as raw:
        others = FaultRunner(testbed, [reader], [], seed, runner.note)
        others.listen_for(30, reader.ready)
        for first in range(0, count, AT_ONCE):
            raw.write(*events[first : first + AT_ONCE])
            others.listen_for(0.05)
        raw.write(b'{"sender": "nina", "message": "the end of it"}')
        wanted = fuzz.readable([*events, b'{"sender": "nina", "message": "the end of it"}'])
        if not others.listen_for(CALM, lambda: checker.count_of(reader.data) >= len(wanted)):
            runner.problem("not all strange events came through the log in time")
        others.listen_for(2)
        reader.stays_closed = True
        reader.leave()
        others.listen_for(15, lambda: reader.life is None)
        reader.kill()
    if (there := checker.stored(reader.data)) != wanted:
        runner.problem(
            f"of the strange events the history holds {len(there)}, and {len(wanted)} in the log are readable"
        )
    printed = _tail(testbed, FUZZ_STREAM)
    if printed != [wire_line(message) for message in wanted if not isinstance(message, Unreadable)]:
        runner.problem(f"of the strange events tail prints {len(printed)}, and {len(wanted)} in the log are readable")
    runner.problems += others.problems
    return count


def _tail(testbed: Testbed, stream: str) -> list[str]:
    """What `streamcli tail` prints, from head to tail."""
    command = [*STREAMCLI, "tail", "--json", "--no-follow", "--timeout", "60"]
    env = testbed.env | {"STREAMCLI_STREAM": stream}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=300)
    return done.stdout.decode("utf-8", "surrogatepass").splitlines()


def load() -> float:
    """How many processes want to run."""
    return os.getloadavg()[0]
