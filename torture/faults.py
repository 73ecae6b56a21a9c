"""How each fault is done, to the server, the gate, a person or a connection, and how it is undone at its end."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

import psutil

from streamcli.server import State
from tests.environment import STREAMCLI, worker_processes
from torture import proof
from torture.part import Part
from torture.person import Person
from torture.proof import Proof
from torture.schedule import Fault
from torture.testbed import Testbed

BREATH = {"server": 10.0, "gate": 5.0}  # seconds that a part must have been well before it is hit again
WORKERS = {"reader": "read_worker", "writer": "write_worker"}
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Faults:
    """Does faults. Each call returns the fault's proof, or None when there is nobody whom it could hit now."""

    def __init__(self, testbed: Testbed, people: Sequence[Person]) -> None:
        self._testbed = testbed
        self._by_name = {person.name: person for person in people}
        self._guests = [person for person in people if person.is_guest]
        self._ends: list[tuple[float, Callable[[], object]]] = []
        self._starting: list[subprocess.Popen[bytes]] = []
        self.server = Part("server", testbed.process, lambda: testbed.status().state is State.RUNNING, BREATH["server"])
        self.gate = Part("gate", testbed.gate, lambda: testbed.gate() is not None, BREATH["gate"])
        self.parts = {part.name: part for part in (self.server, self.gate)}

    @property
    def are_over(self) -> bool:
        """Whether none of them lasts."""
        return not self._ends

    def end(self, now: float) -> None:
        """End those whose time is over."""
        for one in [one for one in self._ends if one[0] <= now]:
            self._ends.remove(one)
            one[1]()

    def do(self, fault: Fault, now: float) -> Proof | None:
        """Do it."""
        verb, _, what = fault.kind.removesuffix(" long").partition(" ")
        person = self._by_name.get(fault.who)
        if verb in _SIGNALS and what in self.parts:
            return self._on_part(verb, self.parts[what], fault, now)
        if verb in _SIGNALS and what.startswith("gate "):
            return self._on_gate_workers(WORKERS[what.removeprefix("gate ")])
        if verb in _SIGNALS:
            return self._on_process(verb, what, person, fault, now)
        if person:
            return self._on_person(fault, person, now)
        return self._on_proxy(verb, what, fault, now)

    def start_server(self) -> None:
        """Start the server as its owner would, and don't wait."""
        log = (self._testbed.folder / "server-start.log").open("ab")
        command = [*STREAMCLI, "server", "start", "--timeout", "60"]
        self._starting.append(subprocess.Popen(command, env=self._testbed.env, stdout=log, stderr=log))
        log.close()

    def restart_all(self) -> None:
        """Kill server and gate, whatever state they are in, and have both started again."""
        for part in self.parts.values():
            _signal(part.process(), signal.SIGKILL)
        self.start_server()

    def undo(self) -> bool:
        """Undo everything, and have the server run; return whether it does."""
        for _, end in self._ends:
            end()
        self._ends.clear()
        for part in self.parts.values():
            _signal(part.process(), signal.SIGCONT)
        for proxy in self._testbed.proxies.by_name.values():
            proxy.hole(False)
            proxy.slow(0)
        for start in self._starting:
            with contextlib.suppress(subprocess.TimeoutExpired):
                start.wait(120)
        return self._testbed.start()

    def _on_part(self, verb: str, part: Part, fault: Fault, now: float) -> Proof | None:
        live = self._who_notices(part, now)
        if not part.may_be_hit(now) or live == []:
            return None
        process = part.process()
        if process is None or not _signal(process, _SIGNALS[verb]):
            return None
        if verb == "kill":
            part.went(now, process)
            if fault.how == "started by hand":
                self.start_server()
            return proof.gone(process)
        part.stopped += 1

        def go_on() -> None:
            part.stopped -= 1
            _signal(process, signal.SIGCONT)
            part.went(time.monotonic())

        self._ends.append((now + fault.length, go_on))
        return proof.stopped(process) if live is None else proof.each(proof.stopped(process), proof.told(live))

    def _on_gate_workers(self, name: str) -> Proof | None:
        gate = self._testbed.gate()
        # Beside the reader for all guests there may be others, for guests who read the past.
        found = [worker for one, worker in worker_processes(gate.pid) if one == name] if gate else []
        hit = [worker for worker in found if _signal(worker, signal.SIGKILL)]
        return proof.each(*map(proof.gone, hit)) if hit else None

    def _on_process(self, verb: str, what: str, person: Person | None, fault: Fault, now: float) -> Proof | None:
        assert person
        pid = person.workers().get(WORKERS[what]) if what in WORKERS else person.pid
        if pid is None or not person.ready():
            return None
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            return None
        if not _signal(process, _SIGNALS[verb]):
            return None
        if verb == "kill":
            return proof.gone(process)
        self._ends.append((now + fault.length, lambda: _signal(process, signal.SIGCONT)))
        return proof.stopped(process)

    def _on_person(self, fault: Fault, person: Person, now: float) -> Proof | None:
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

        self._ends.append((now + fault.length, free))
        return proof.refused(life)

    def _on_proxy(self, verb: str, what: str, fault: Fault, now: float) -> Proof | None:
        proxy = self._testbed.proxies.by_name[what]
        if verb == "cut":
            return (lambda: True) if proxy.cut() else None  # nobody was connected: later, then
        part = self.gate if what == "gate" else self.server
        live = self._who_notices(part, now)
        if live == []:
            return None
        if verb == "slow":
            happened = proof.counted(lambda: proxy.delayed)
            proxy.slow(float(fault.how))
            self._ends.append((now + fault.length, lambda: proxy.slow(0)))
            return happened
        if verb != "hole":
            raise LookupError(f"nobody knows how to do this to a connection: {fault.kind}")
        held = proof.counted(lambda: proxy.held)
        happened = held if live is None else proof.each(held, proof.told(live))
        proxy.hole(True)
        part.holes += 1

        def end() -> None:
            proxy.hole(False)
            part.holes -= 1

        self._ends.append((now + fault.length, end))
        return happened

    def _who_notices(self, part: Part, now: float) -> list[Person] | None:
        """The guests who are connected now, and so notice what happens to the gate; None where nobody is asked."""
        if part is not self.gate:
            return None
        silent = part.stopped or part.holes  # what made it so is to be noticed first
        return [guest for guest in self._guests if guest.gets_on(now) and not silent]


def _signal(process: psutil.Process | None, number: int) -> bool:
    """Send a signal; whether the process was there."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if process:
            process.send_signal(number)
            return True
    return False
