"""The fault runner: people type, faults hit, and how long each takes to be overcome is noted. One thread, one loop."""

from __future__ import annotations

import contextlib
import random
import resource
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO

import psutil

from streamcli.server import State
from tests.environment import STREAMCLI
from torture import proof
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
SERVER_BREATH = 10.0  # seconds that the server must have been well before it is hit again: else it would never be
BREATH = 1.5  # seconds between two faults of one person
MORE_EVERY = 1.0  # seconds between two lines of who has typed all, while faults are still to come
FASTEST = 0.08  # seconds between two lines of one person who is late
HELP_AFTER = 150.0  # seconds without a message read back, after which the server is helped, and the run has failed
SAID_EVERY = 10.0
LOOK_EVERY = 0.3  # seconds between looks at a server that is away
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


class FaultRunner:
    """One run."""

    def __init__(self, testbed: Testbed, people: list[Person], faults: list[Fault], seed: int, note: IO[str]) -> None:
        """``note`` takes what happens, a line each."""
        self._testbed, self.people, self.note = testbed, people, note
        self._by_name = {person.name: person for person in people}
        self._due = list(faults)
        self._ends: list[tuple[float, Callable[[], None]]] = []
        self._chance = random.Random(f"texts {seed}")
        self._began = time.monotonic()
        self.hits: list[Hit] = []
        self.missed: list[Fault] = []
        self.problems: list[str] = []
        self.restarts: list[float] = []  # seconds from the server's end until it was well again
        self.states: list[tuple[float, str]] = [(0.0, "well")]  # since when (monotonic) the server is how
        self._away = False  # the server was killed and is not there again
        self._away_since = self._well_since = 0.0
        self._last_hit: dict[str, float] = {}
        self._looked = 0.0
        self._stopped = self._holes = 0
        self._starting: list[subprocess.Popen[bytes]] = []
        self._typed_at: dict[str, float] = {}
        self._said = self._moved = time.monotonic()

    def run(self, seconds: float, lines: int) -> None:
        """Have everybody type ``lines`` lines in about ``seconds``, and everything go wrong that was planned."""
        self._began = self._moved = time.monotonic()
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
        return bool(self._due or self._ends or unproved) or any(person.clock_is_due for person in self.people)

    def calm(self) -> None:
        """Everything that was done is undone, and the server runs."""
        for _, end in self._ends:
            end()
        self._ends.clear()
        self._testbed.send(signal.SIGCONT)
        for proxy in self._testbed.proxies.by_name.values():
            proxy.hole(False)
            proxy.slow(0)
        for start in self._starting:
            with contextlib.suppress(subprocess.TimeoutExpired):
                start.wait(120)
        if not self._testbed.start():
            self.problem("the server could not be started at the end")

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
        for end in [one for one in self._ends if one[0] <= now]:
            self._ends.remove(end)
            end[1]()
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
        self._state(now)

    def _may_hit(self, now: float) -> bool:
        return sum(hit.recovered is None and now < hit.until + HELD_UP for hit in self.hits) < AT_ONCE

    def _hit(self, fault: Fault, now: float) -> bool:
        """Do it; False when there is nobody whom it could hit now."""
        happened: Proof | None
        verb, _, what = fault.kind.removesuffix(" long").partition(" ")
        person = self._by_name.get(fault.who)
        if person and now < self._last_hit.get(person.name, 0) + BREATH:
            return False
        if verb == "kill" or verb == "stop":
            happened = (
                self._on_server(verb, fault, now) if what == "server" else self._on_process(verb, what, person, fault)
            )
        elif person:
            happened = self._on_person(fault, person)
        else:
            happened = self._on_proxy(verb, what, fault)
        if happened is None:
            return False
        self._last_hit[fault.who] = now
        self.hits.append(Hit(fault, now, now + fault.length, happened))
        self.say(f"{fault.kind} {fault.who} {fault.how} {fault.length or ''}")
        return True

    def _on_server(self, verb: str, fault: Fault, now: float) -> Proof | None:
        if self._away or self._stopped or now < self._well_since + SERVER_BREATH:
            return None
        process = self._testbed.process()
        if process is None or not self._testbed.send(signal.SIGKILL if verb == "kill" else signal.SIGSTOP):
            return None
        if verb == "kill":
            self._away, self._away_since = True, now
            if fault.how == "started by hand":
                self._start_by_hand()
            return proof.gone(process)
        self._stopped += 1

        def go_on() -> None:
            self._stopped -= 1
            self._testbed.send(signal.SIGCONT)
            self._away, self._away_since = True, time.monotonic()  # it may not outlive it: looked at until it is well

        self._ends.append((now + fault.length, go_on))
        return proof.stopped(process)

    def _start_by_hand(self) -> None:
        log = (self._testbed.folder / "server-start.log").open("ab")
        command = [*STREAMCLI, "server", "start", "--timeout", "60"]
        self._starting.append(subprocess.Popen(command, env=self._testbed.env, stdout=log, stderr=log))
        log.close()

    def _on_process(self, verb: str, what: str, person: Person | None, fault: Fault) -> Proof | None:
        assert person
        name = {"reader": "read_worker", "writer": "write_worker"}.get(what)
        pid = person.workers().get(name) if name else person.pid
        if pid is None or not person.ready():
            return None
        try:
            process = psutil.Process(pid)
            process.send_signal(signal.SIGKILL if verb == "kill" else signal.SIGSTOP)
        except psutil.NoSuchProcess:
            return None
        if verb == "kill":
            return proof.gone(process)

        def go_on() -> None:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)

        self._ends.append((time.monotonic() + fault.length, go_on))
        return proof.stopped(process)

    def _on_person(self, fault: Fault, person: Person) -> Proof | None:
        if not person.ready() or person.clock_is_due:
            return None
        if fault.kind == "clock off":
            person.next_clock = fault.how
            person.leave()
            return proof.from_the_log
        if fault.kind != "disk full":
            raise LookupError(f"nobody knows how to do this to a person: {fault.kind}")
        life, pid = person.life, person.pid
        assert life and pid
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, limits[1]))
        life.disk_full = True

        def free() -> None:
            with contextlib.suppress(OSError):
                if person.life is life:
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
                    person.leave()  # the screen has said that the next start keeps a history again

        self._ends.append((time.monotonic() + fault.length, free))
        return proof.refused(life)

    def _on_proxy(self, verb: str, what: str, fault: Fault) -> Proof | None:
        proxy = self._testbed.proxies.by_name[what]
        if verb == "cut":
            return (lambda: True) if proxy.cut() else None  # nobody was connected: later, then
        if verb not in ("slow", "hole"):
            raise LookupError(f"nobody knows how to do this to a connection: {fault.kind}")
        happened = proof.counted(lambda: proxy.delayed if verb == "slow" else proxy.held)
        if verb == "slow":
            proxy.slow(float(fault.how))
        else:
            proxy.hole(True)
            self._holes += 1

        def end() -> None:
            if verb == "slow":
                proxy.slow(0)
            else:
                proxy.hole(False)
                self._holes -= 1

        self._ends.append((time.monotonic() + fault.length, end))
        return happened

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

    def _state(self, now: float) -> None:
        state = "stopped" if self._stopped else "dead" if self._away else "black hole" if self._holes else "well"
        if state != self.states[-1][1]:
            self.states.append((now, state))

    def _look_after(self, now: float) -> None:
        for hit in self.hits:
            if hit.recovered is None and now > hit.until:
                of = [self._by_name[hit.fault.who]] if hit.fault.who else self.people
                came = [person.latest[1] for person in of if person.latest[0] >= hit.until]
                if came:
                    hit.recovered = min(came) - hit.until
        self._moved = max([self._moved, *(person.latest[1] for person in self.people)])
        if self._away and not self._stopped and now > self._looked + LOOK_EVERY:
            self._looked = now
            if self._testbed.status().state is State.RUNNING:
                self._away, self._well_since = False, now
                self.restarts.append(now - self._away_since)
                self.say(f"the server is well again after {now - self._away_since:.1f} s")
        if self._typing(now) and now - self._moved > HELP_AFTER:
            server = self._testbed.status().state.value
            self.problem(f"nothing was read back for {HELP_AFTER:.0f} s (server: {server})")
            self._moved = now
            self._testbed.send(signal.SIGCONT)
            self._testbed.kill()
            self._start_by_hand()

    def _say_how_it_goes(self, now: float) -> None:
        if now - self._said > SAID_EVERY:
            self._said = now
            how = [f"{p.name} {p.read_back}/{len(p.lines)}{'' if p.ready() else ' (no prompt)'}" for p in self.people]
            self.say(f"read back of typed: {', '.join(how)}; the server is {self.states[-1][1]}")

    def _typing(self, now: float) -> bool:
        return any(now - at < HELP_AFTER for at in self._typed_at.values())
