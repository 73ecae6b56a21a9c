"""The fault runner: people type, faults hit, and how long each takes to be overcome is noted. One thread, one loop."""

from __future__ import annotations

import random
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from torture import proof
from torture.faults import Faults
from torture.part import LOOK_EVERY
from torture.person import Person
from torture.proof import Proof
from torture.schedule import Fault
from torture.testbed import Testbed

TICK = 0.03  # seconds
TRY_AGAIN = 0.5  # seconds until a fault that found nobody is tried again
GIVE_UP = 1500.0  # seconds after which it is given up
AT_ONCE = 4  # faults that may be waiting to be overcome: more of them at once, and nobody would ever get on
PROVED_WITHIN = 20.0  # seconds after its end in which a fault has to prove that it happened; else it is tried again
HELD_UP = 15.0  # seconds after its end in which a fault that was not overcome holds up others
BREATH = 1.5  # seconds between two faults of one person
MORE_EVERY = 1.0  # seconds between two lines of who has typed all, while faults are still to come
FASTEST = 0.08  # seconds between two lines of one person who is late
# Seconds in which none of the owners, or none of the guests, reads a message back: then the server is helped, and the
# run has failed.
HELP_AFTER = 150.0
SAID_EVERY = 10.0
GATE_WITHIN = 60.0  # seconds for the server's process to start a gate that was killed
TEXT = "hello there grüße 日本 😀 so we go on and on with a log that keeps what we say — don't we? (yes) 100% <ok>"
WORDS = TEXT.split()


@dataclass
class Hit:
    """A fault that has hit."""

    fault: Fault
    at: float  # monotonic seconds
    until: float
    proof: Proof
    proved: bool = False
    recovered: float | None = None  # seconds from its end to the next line typed since and read back

    @property
    def kind(self) -> str:
        """What it was."""
        return self.fault.kind


@dataclass
class Group:
    """People who get on or are stuck together: all owners, or all guests."""

    name: str
    people: list[Person]
    moved: float  # monotonic seconds: when one of them last read a line back


class FaultRunner:
    """One run."""

    def __init__(self, testbed: Testbed, people: list[Person], faults: list[Fault], seed: int, note: IO[str]) -> None:
        """``note`` takes what happens, a line each."""
        self._testbed, self.people, self.note = testbed, people, note
        self._by_name = {person.name: person for person in people}
        self._due = list(faults)
        self.faults = Faults(testbed, people)
        self._chance = random.Random(f"texts {seed}")
        self._began = time.monotonic()
        self.hits: list[Hit] = []
        self.missed: list[Fault] = []
        self.problems: list[str] = []
        self._last_hit: dict[str, float] = {}
        self._typed_at: dict[str, float] = {}
        self._said = time.monotonic()
        groups = {"owners": [p for p in people if not p.is_guest], "guests": [p for p in people if p.is_guest]}
        self._groups = [Group(name, of, self._said) for name, of in groups.items()]

    def run(self, seconds: float, lines: int) -> None:
        """Have everybody type ``lines`` lines in about ``seconds``, and everything go wrong that was planned."""
        self._began = time.monotonic()
        for group in self._groups:
            group.moved = self._began
        end = self._began + 3 * seconds + 300
        while any(len(person.lines) < lines for person in self.people) or self._unfinished():
            now = time.monotonic()
            if now > end:
                self.problem(f"not done after {now - self._began:.0f} s")
                break
            self._listen(TICK)
            for person in self.people:
                person.tend(now)
                typed, since = len(person.lines), now - self._typed_at.get(person.name, 0)
                due = min(lines, int((now - self._began) / seconds * lines) + 1)
                if person.ready() and (since > FASTEST if typed < due else typed >= lines and since > MORE_EVERY):
                    self._typed_at[person.name] = now
                    person.type_line(self._text())
            self._hit_what_is_due(now)
            self._ask_for_proof(now)
            self._look_after(now)
            self._say_how_it_goes(now)

    def _unfinished(self) -> bool:
        """Whether a fault is still to come, to end, or to prove that it happened."""
        unproved = any(not hit.proved and hit.proof is not proof.from_the_log for hit in self.hits)
        lasts = not self.faults.are_over or any(person.clock_is_due for person in self.people)
        return bool(self._due or unproved) or lasts

    def calm(self) -> None:
        """Everything that was done is undone, and server and gate run."""
        if not self.faults.undo():
            self.problem("the server could not be started at the end")
        if not self.listen_for(GATE_WITHIN, lambda: self._testbed.gate() is not None):
            self.problem(f"nobody has started the gate within {GATE_WITHIN:.0f} s at the end")

    def listen_for(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let the chats go on for a while, without typing; whether ``done()`` came true."""
        end, look = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            self._listen(TICK)
            for person in self.people:
                person.tend(now)
            if now > look:
                self._look_after(now)
                if done():
                    return True
                look = time.monotonic() + 3 * LOOK_EVERY
        return done()

    def say(self, text: str) -> None:
        """Note what happens."""
        print(f"{time.monotonic() - self._began:8.2f} {text}", file=self.note, flush=True)

    def problem(self, text: str) -> None:
        """Note what must not be."""
        self.problems.append(text)
        self.say(f"PROBLEM: {text}")

    def _text(self) -> str:
        return " ".join(self._chance.choices(WORDS, k=self._chance.choice((1, 3, 5, 8, 13, 60))))

    def _listen(self, seconds: float) -> None:
        lives = {person.life.process.fd: person for person in self.people if person.life}
        if not lives:
            time.sleep(seconds)
        for fd in select.select(list(lives), [], [], seconds)[0] if lives else ():
            person = lives[fd]
            person.listen()
            if person.life is None:
                self._ended(person)

    def _ended(self, person: Person) -> None:
        life = person.lives[-1]
        self.say(
            f"{person.name}'s chat {life.number} ended with {life.code} after {time.monotonic() - life.began:.1f} s"
        )
        # 69: the embedded server could not be started in time.
        if life.code not in (0, -signal.SIGKILL, 69):
            self.problem(f"{person.name}'s chat {life.number} ended with {life.code}")

    # Faults.

    def _hit_what_is_due(self, now: float) -> None:
        self.faults.end(now)
        waiting = []
        for fault in self._due:
            at = self._began + fault.at
            if at > now or not self._may_hit(now) or not self._hit(fault, now):
                waiting.append(fault)
            if at + GIVE_UP < now and fault in waiting:
                waiting.remove(fault)
                self.missed.append(fault)
                self.say(f"missed: {fault}")
        self._due = waiting
        for part in self.faults.parts.values():
            part.note(now)

    def _may_hit(self, now: float) -> bool:
        return sum(hit.recovered is None and now < hit.until + HELD_UP for hit in self.hits) < AT_ONCE

    def _hit(self, fault: Fault, now: float) -> bool:
        """Do it; False when there is nobody whom it could hit now."""
        if fault.who and now < self._last_hit.get(fault.who, 0) + BREATH:
            return False
        happened = self.faults.do(fault, now)
        if happened is None:
            return False
        self._last_hit[fault.who] = now
        self.hits.append(Hit(fault, now, now + fault.length, happened))
        self.say(f"{fault.kind} {fault.who} {fault.how} {fault.length or ''}")
        return True

    # What follows.

    def _ask_for_proof(self, now: float) -> None:
        for hit in [one for one in self.hits if not one.proved and one.proof is not proof.from_the_log]:
            hit.proved = hit.proof()
            if not hit.proved and now > hit.until + PROVED_WITHIN:
                self.say(f"{hit.kind} {hit.fault.who} did not happen, and is tried again")
                self.hits.remove(hit)
                self._due.append(hit.fault)

    def judge(self, times: Mapping[tuple[str, int], Iterable[datetime]]) -> None:
        """At the end: a fault that did not happen is a problem. ``times`` are those that messages carry in the log."""
        for person in self.people:
            seen = proof.wrong_clocks(person, times)
            for hit in [one for one in self.hits if one.proof is proof.from_the_log and one.fault.who == person.name]:
                hit.proved, seen = seen > 0, seen - 1
        did_not = self.missed + self._due + [hit.fault for hit in self.hits if not hit.proved]
        for fault in did_not:
            self.problem(f"a fault did not happen: {fault.kind} {fault.who} {fault.how}".rstrip())

    def _hit_by(self, fault: Fault) -> list[Person]:
        if fault.who:
            return [self._by_name[fault.who]]
        return [person for person in self.people if person.is_guest or "gate" not in fault.kind]

    def _look_after(self, now: float) -> None:
        for hit in self.hits:
            if hit.recovered is None and now > hit.until:
                came = [person.latest[1] for person in self._hit_by(hit.fault) if person.latest[0] >= hit.until]
                if came:
                    hit.recovered = min(came) - hit.until
        for part in self.faults.parts.values():
            if (away := part.look(now)) is not None:
                self.say(f"the {part.name} is well again after {away:.1f} s")
        for group in self._groups:
            group.moved = max([group.moved, *(person.latest[1] for person in group.people)])
            if now - group.moved > HELP_AFTER and self._types(group, now):
                self._help(group, now)

    def _help(self, group: Group, now: float) -> None:
        server, gate = self._testbed.status().state.value, "there" if self._testbed.gate() else "away"
        self.problem(
            f"none of the {group.name} read anything back for {HELP_AFTER:.0f} s (server {server}, gate {gate})"
        )
        group.moved = now
        self.faults.restart_all()

    def _say_how_it_goes(self, now: float) -> None:
        if now - self._said > SAID_EVERY:
            self._said = now
            how = [f"{p.name} {p.read_back}/{len(p.lines)}{'' if p.ready() else ' (no prompt)'}" for p in self.people]
            parts = [f"the {part.name} is {part.state}" for part in self.faults.parts.values()]
            self.say(f"read back of typed: {', '.join(how)}; {', '.join(parts)}")

    def _types(self, group: Group, now: float) -> bool:
        return any(now - self._typed_at.get(person.name, float("-inf")) < HELP_AFTER for person in group.people)
