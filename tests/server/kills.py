"""Kills a durable server under load again and again, and looks whether each acknowledged event is there afterwards.

``make kills`` runs 50 kills in some minutes; ``ARGS="--kills 5 --seed 7"`` says it otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from streamcli.errors import Unreachable
from streamcli.model.address import Login
from streamcli.server import Quiet, ServerOptions, State, ensure_running, login, state, status, stop
from tests.raw import Raw

PATIENCE = 60.0  # seconds a start may take
SIZE = 200  # bytes an event
ROUND = 1_000_000  # events of the n-th kill are numbered from n times this


@dataclass
class Kills:
    """What was seen."""

    starts: list[float] = field(default_factory=list)  # seconds until ready again, one a kill
    acknowledged: list[range] = field(default_factory=list)  # numbers of the events, by kill
    present: int = 0  # events in the log, those that nobody was told of included

    @property
    def count(self) -> int:
        """How many events were acknowledged."""
        return sum(map(len, self.acknowledged))


def run(kills: int, seed: int, say: bool = True) -> Kills:
    """Start a durable server, kill it ``kills`` times under load, and check the log after each; it is left running."""
    chance, seen = random.Random(seed), Kills()
    url = ensure_running(Quiet(), PATIENCE, ServerOptions())
    account_of_it = login()
    assert account_of_it, "the server asks for no password"
    with Raw(url, "kills", login=account_of_it):
        pass  # the stream is made
    for number in range(kills):
        with _load(url, number * ROUND, account_of_it) as acknowledged:
            time.sleep(chance.uniform(0.3, 2.0))
            _kill()
        seen.acknowledged.append(range(number * ROUND, acknowledged[-1]))
        if chance.random() < 0.2:
            _kill_while_it_starts(chance.uniform(0.2, 3.0))
        there, begun = status().state is State.RUNNING, time.monotonic()
        url = ensure_running(Quiet(), PATIENCE)
        took = time.monotonic() - begun
        if not there:  # a start that was killed may have been made once more already
            seen.starts.append(took)
        with Raw(url, "kills", login=account_of_it) as raw:
            events = [int(event[:9]) for event in raw.events()]
        check(seen.acknowledged, events)
        seen.present = len(events)
        if say:
            print(
                f"kill {number + 1}: {'ready already' if there else f'ready again in {took:.1f} s'}, "
                f"all {seen.count:,} acknowledged events read back",
                flush=True,
            )
    return seen


def check(acknowledged: list[range], events: list[int]) -> None:
    """Each acknowledged event is there once, and all are in the order in which they were written."""
    assert events == sorted(set(events)), "events are doubled or out of order"
    lost = {number for numbers in acknowledged for number in numbers} - set(events)
    assert not lost, f"{len(lost)} acknowledged events are lost, the first of them {min(lost)}"


@contextmanager
def _load(url: str, first: int, who: Login) -> Iterator[list[int]]:
    """Events are written from number ``first`` on; the list holds the numbers up to which all is acknowledged."""
    chance = random.Random(first)
    with Raw(url, "kills", login=who) as raw:

        def write(number: int) -> int:
            after = number + chance.randint(1, 50)
            raw.write(*((b"%09d" % event).ljust(SIZE) for event in range(number, after)))
            return after

        def write_on() -> None:
            with suppress(AssertionError, OSError):  # the client was killed
                while True:
                    acknowledged.append(write(acknowledged[-1]))

        acknowledged = [write(first)]
        writing = threading.Thread(target=write_on)
        writing.start()
        try:
            yield acknowledged
        finally:
            raw.kill()
            writing.join()


def _kill() -> None:
    record = state.read()
    assert record
    if record.phase in (state.STARTING, state.RUNNING) and (process := state.process(record)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
            process.wait(10)


def _kill_while_it_starts(after: float) -> None:
    timer = threading.Timer(after, _kill)
    timer.start()
    with suppress(Unreachable):  # it is killed, or was quicker
        ensure_running(Quiet(), PATIENCE)
    timer.join()


def main() -> None:
    """The program behind ``make kills``."""
    parser = argparse.ArgumentParser(prog="make kills")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="streamcli-kills-") as folder:
        for name in ("STATE", "DATA"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(folder) / name.lower())
        try:
            seen = run(options.kills, options.seed)
        finally:
            stop(10)
    starts = seen.starts
    print(
        f"{options.kills} kills, seed {options.seed}: ready again in {min(starts):.1f} s at least, "
        f"{statistics.median(starts):.1f} s at the median, {max(starts):.1f} s at most (n = {len(starts)}); "
        f"{seen.count:,} events acknowledged, none lost ({seen.present - seen.count} more are in the log)"
    )


if __name__ == "__main__":
    main()
