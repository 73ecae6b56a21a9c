"""``python -m torture.on_cluster``: kills parts of a real cluster under two chats, and proves that nothing is lost.

The longest silence that each kill has cost is printed. A run in which anything is wrong keeps its folder.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from cluster.cluster import Cluster
from cluster.record import PARTS, kind_of
from cluster.settings import Kind
from streamcli.errors import StreamcliError
from streamcli.model.address import parse_url
from tests.environment import make_home
from tests.raw import Raw
from torture import checker, silence
from torture.person import Person
from torture.run import load
from torture.silence import Kill, Way

BUILD = Path(__file__).resolve().parent.parent / "build"
NAMES = ("tim", "alex")
STREAM = "torture"
KINDS = {Kind.STORE: "segment store", Kind.BOOKIE: "bookie", Kind.CONTROLLER: "controller"}
GOALS = {Kind.STORE: 10.0, Kind.BOOKIE: 2.0, Kind.CONTROLLER: 2.0}  # seconds
TICK = 0.02
EVERY = 0.1  # seconds between two lines of one person
DOWN = 4.0  # seconds for which a part is away at least, and for which all is well again before it is started
BREATH = 6.0  # seconds between its return and the next kill
GIVE_UP = 120.0  # seconds of silence after which the run is over
CALM = 60.0


class ClusterTorture:
    """One run."""

    def __init__(self, folder: Path, note: TextIO) -> None:
        self.folder, self._note, self._began = folder, note, time.monotonic()
        self.cluster = Cluster(folder / "cluster", self.say)
        self.people: list[Person] = []
        self.arrivals: dict[Way, list[float]] = defaultdict(list)
        self.kills: list[Kill] = []
        self.problems: list[str] = []
        self._typing = False
        self._typed_at: dict[str, float] = {}
        self._known: dict[tuple[str, int], int] = {}

    def say(self, text: str) -> None:
        """Note what happens."""
        print(f"{time.monotonic() - self._began:8.2f} {text}", file=self._note, flush=True)

    def run(self, parts: list[str]) -> None:
        """Start the cluster and the chats, and kill the parts one after the other."""
        self.cluster.start()
        login = self.cluster.login
        account = {"STREAMCLI_ACCOUNT": login.user, "STREAMCLI_PASSWORD": login.password}
        for name in NAMES:
            env = make_home(self.folder / name) | account
            env |= {"STREAMCLI_URL": self.cluster.url, "STREAMCLI_STREAM": STREAM}
            self.people.append(Person(name, env, self.folder / "screens"))
        # What was said before a chat is connected for the first time is not all drawn, and can't be looked for.
        self._go_on(GIVE_UP, lambda: all(self._is_connected(person) for person in self.people))
        self._typing = True
        self._go_on(GIVE_UP, lambda: self._all_move_since(0.0))
        self._go_on(BREATH)
        for number, part in enumerate(parts, 1):
            self.say(f"kill {number} of {len(parts)}: {part}")
            if not self._kill(part):
                break
        if self.kills:
            self.kills[-1].until = time.monotonic()
        self._end()

    def _is_connected(self, person: Person) -> bool:
        screen = self.folder / "screens" / f"{person.name}-000.bytes"
        # The end of "connecting" is drawn over, letter by letter where it differs.
        return screen.exists() and b"ed to tcp" in screen.read_bytes()

    def _kill(self, part: str) -> bool:
        """Kill a part, and start it again; whether the chats went on."""
        if self.kills:
            self.kills[-1].until = time.monotonic()
        kill = Kill(part, time.monotonic())
        self.kills.append(kill)
        self._beside(lambda: self._kill_now(kill))
        if not kill.gone:
            self._problem(f"{part} was not killed")
        self._go_on(DOWN)
        if not self._go_on(GIVE_UP, lambda: self._all_move_since(kill.at + DOWN / 2)):
            self._problem(f"nobody got on within {GIVE_UP:.0f} s after {part} was killed")
            return False
        kill.again = time.monotonic()
        if error := self._beside(lambda: self.cluster.restart(part)):
            self._problem(f"{part} did not start again: {error}")
            return False
        kill.ready = time.monotonic()
        self._go_on(BREATH)
        return self._go_on(GIVE_UP, lambda: self._all_move_since(kill.ready))

    def _kill_now(self, kill: Kill) -> None:
        kill.gone = self.cluster.kill(kill.part) and self.cluster.pid(kill.part) is None

    def _beside(self, work: Callable[[], None]) -> StreamcliError | None:
        """Let the chats go on while ``work`` is done in a thread; return its error."""
        errors: list[StreamcliError] = []

        def run() -> None:
            try:
                work()
            except StreamcliError as error:
                errors.append(error)

        helper = threading.Thread(target=run)
        helper.start()
        self._go_on(GIVE_UP, lambda: not helper.is_alive())
        helper.join()
        return errors[0] if errors else None

    def _all_move_since(self, since: float) -> bool:
        """Whether everybody has seen something of everybody since then."""
        ways = [(reader, writer) for reader in NAMES for writer in NAMES]
        return all(self.arrivals[way] and self.arrivals[way][-1] > since for way in ways)

    def _go_on(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let the chats go on until ``done()``, at most ``seconds``; whether it came true."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if done():
                return True
            self._listen()
            for person in self.people:
                person.tend(now)
                if self._typing and person.ready() and now - self._typed_at.get(person.name, 0.0) >= EVERY:
                    self._typed_at[person.name] = now
                    person.type_line(f"line {len(person.lines)} — grüße 日本 😀")
        return done()

    def _listen(self) -> None:
        lives = {person.life.process.fd: person for person in self.people if person.life}
        for fd in select.select(list(lives), [], [], TICK)[0]:
            person = lives[fd]
            person.listen()
            life, now = person.lives[-1], time.monotonic()
            already = self._known.get((person.name, life.number), 0)
            self._known[person.name, life.number] = len(life.seen)
            for sender, _ in life.seen[already:]:
                self.arrivals[person.name, sender].append(now)
            if not life.alive and life.code:
                self._problem(f"{person.name}'s chat ended with {life.code}")

    def _end(self) -> None:
        """Stop typing, wait until everything has arrived, have everybody leave, and hold the log against all."""
        self._typing = False
        if not self._go_on(CALM, lambda: all(person.read_back == len(person.lines) for person in self.people)):
            self._problem(f"after {CALM:.0f} s of calm some lines were not read back")
        self._go_on(2.0)
        for person in self.people:
            person.stays_closed = True
            person.leave()
        if not self._go_on(30.0, lambda: all(person.life is None for person in self.people)):
            self._problem("somebody can't leave")
            for person in self.people:
                person.kill()
        with Raw(parse_url(self.cluster.url).each[0].url, STREAM, login=self.cluster.login) as raw:
            log = checker.log_of(raw.events())
        self.verdict = checker.check(checker.evidence(log, self.people, {}))
        self.problems += self.verdict.problems

    def _problem(self, text: str) -> None:
        self.problems.append(text)
        self.say(f"PROBLEM: {text}")

    def report(self, seed: int, loads: tuple[float, float]) -> list[str]:
        """Return what is printed."""
        minutes = (time.monotonic() - self._began) / 60
        head = (
            f"seed {seed}, {minutes:.1f} min, load average {loads[0]:.1f} before, {loads[1]:.1f} after: "
            f"{sum(kill.gone for kill in self.kills)} of {len(self.kills)} kills, {self.verdict.messages:,} messages, "
            f"{self.verdict.again} written again and dropped; lost, doubled, out of order: "
            f"{'; '.join(self.problems) or 'none'}"
        )
        names = {kind.value: name for kind, name in KINDS.items()}
        goals = [f"{KINDS[kind]} {seconds:g} s" for kind, seconds in GOALS.items()]
        return [head, "", *silence.rows(self.kills, self.arrivals, names), "", f"goals: {', '.join(goals)}"]


def main() -> int:
    """Run, report, and tidy up when all was well."""
    parser = argparse.ArgumentParser(
        prog="python -m torture.on_cluster", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seed", type=int, default=1, help="of the order of kills (1)")
    parser.add_argument("--kills", type=int, default=30, help="in all, of segment stores, bookies and controllers (30)")
    parser.add_argument("--folder", type=Path, help="where all lies; it is kept then")
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="streamcli-cluster-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [[part for part in PARTS if kind_of(part) is kind] for kind in KINDS]
    before, well = load(), False
    print(f"what happens is written to {folder / 'events.log'}", file=sys.stderr, flush=True)
    with (folder / "events.log").open("w") as note:
        torture = ClusterTorture(folder, note)
        try:
            torture.run(silence.order(options.seed, kinds, options.kills))
            lines = torture.report(options.seed, (before, load()))
            print("\n".join(lines))
            BUILD.mkdir(exist_ok=True)
            kept = {"lines": lines, "kills": [asdict(kill) for kill in torture.kills], "cores": os.cpu_count()}
            (BUILD / f"torture-on-cluster-{options.seed}.json").write_text(json.dumps(kept, indent=1))
            well = not torture.problems
        except StreamcliError as error:
            print(f"torture: {error}", file=sys.stderr)
        finally:
            for person in torture.people:
                person.kill()
            torture.cluster.stop()
            if well and not options.folder:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                print(f"what is left of it lies in {folder}", file=sys.stderr)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
