"""``python -m bench.soak``: two people chat for two hours, and what their processes hold must not grow.

Memory, threads and descriptors of each process are noted every minute. What counts is their growth from minute 10 on,
when everything has been loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench import report
from bench.figures import Row, as_json, at_most, table
from bench.load import MIB
from bench.raw import TEXT
from bench.testbed import NUMBER, Terminal, listen_to, new_stream, processes_of, running_testbed

NAMES = ("tim", "alex")
RATE = 20.0  # messages a second, of both together
MINUTES = 120.0
WARM = 10.0  # minutes
EVERY = 60.0  # seconds between two samples
AROUND = 5  # minutes whose median is a figure
SLACK = 4  # threads and descriptors: those of pools come and go
LATEST = 60.0  # seconds after the last line


@dataclass(frozen=True)
class Sample:
    """What one process held at one time; ``rss`` in MiB."""

    minute: float
    person: str
    process: str
    rss: float
    threads: int
    descriptors: int


class Soak:
    """Two chats in which people type, and what their processes held meanwhile."""

    def __init__(self, people: Sequence[Terminal], rate: float) -> None:
        """By turns they type ``rate`` lines a second."""
        self.samples: list[Sample] = []
        self.typed = 0
        self._people, self._rate = people, rate
        self._began = self._sampled = 0.0
        self._seen: dict[str, set[int]] = {person.user: set() for person in people}

    def run(self, minutes: float) -> None:
        """Type for so long, and wait until each line stands on both screens."""
        for person in self._people:
            person.heard = self._listener(self._seen[person.user])
        self._began = time.monotonic()
        end = self._began + minutes * 60
        listen_to(self._people, lambda: time.monotonic() >= end, minutes * 60 + LATEST, "the end", self._due)
        listen_to(self._people, lambda: self.missing() == 0, LATEST, "each line on both screens")
        self._sample()

    def missing(self) -> int:
        """How many lines are not drawn yet, of both screens together."""
        return sum(self.typed - len(seen) for seen in self._seen.values())

    def _listener(self, seen: set[int]) -> Callable[[bytes, int], None]:
        return lambda text, now: seen.update(map(int, NUMBER.findall(text)))

    def _due(self) -> float:
        """Type what is due, and return the seconds until the next line is."""
        if time.monotonic() >= self._sampled + EVERY:
            self._sample()
        while (left := self._began + self.typed / self._rate - time.monotonic()) <= 0:
            self._people[self.typed % len(self._people)].press(f"m{self.typed:06}. {TEXT}\r")
            self.typed += 1
        return left

    def _sample(self) -> None:
        self._sampled = time.monotonic()
        minute = (self._sampled - self._began) / 60
        for person in self._people:
            for name, process in processes_of(person.pid).items():
                with suppress(psutil.NoSuchProcess), process.oneshot():
                    rss = process.memory_info().rss / MIB
                    held = rss, process.num_threads(), process.num_fds()
                    self.samples.append(Sample(minute, person.user, name, *held))


def rows(samples: Sequence[Sample], warm: float = WARM) -> list[Row]:
    """Hold the last minutes against those after minute ``warm``: each chat's memory, its threads, its descriptors."""
    last = max(sample.minute for sample in samples)
    found = []
    for person in sorted({sample.person for sample in samples}):
        own = [sample for sample in samples if sample.person == person]
        first = [sample for sample in own if warm <= sample.minute <= warm + AROUND]
        final = [sample for sample in own if sample.minute >= last - AROUND]
        parts = sorted({sample.process for sample in own})
        each = ", ".join(f"{part} {_median(first, part):.0f} → {_median(final, part):.0f}" for part in parts)
        before, after = (sum(_median(some, part) for part in parts) for some in (first, final))
        growth = 100 * (after - before) / before
        note = f", {before:.0f} → {after:.0f} MiB ({each})"
        found.append(at_most(f"{person}'s chat: memory, growth", growth, 10, "%", note=note))
        for what in ("threads", "descriptors"):
            most, now = (max(_together(some, what)) for some in (first, final))
            found.append(Row(f"– {what}", f"{most} → {now}", f"at most {SLACK} more", now <= most + SLACK))
    return found


def _median(samples: Sequence[Sample], process: str) -> float:
    return median([sample.rss for sample in samples if sample.process == process] or [0.0])


def _together(samples: Sequence[Sample], what: str) -> list[int]:
    """``what`` of all processes together, for each time."""
    sums: dict[float, int] = {}
    for sample in samples:
        sums[sample.minute] = sums.get(sample.minute, 0) + getattr(sample, what)
    return list(sums.values())


def main() -> int:
    """Run and report; the exit code tells whether nothing grew and nothing is missing."""
    options = _options()
    if options.client:
        os.environ["STREAMCLI_CLIENT"] = options.client
    about: dict[str, Any] = {**report.machine(), "client": options.client or "chosen", "rate": options.rate}
    about |= {"pravega server": "0.13.0, embedded, durable", "load average": {"before": os.getloadavg()}}
    with running_testbed(durable=True) as here:
        stream = new_stream("soak")
        with here.terminal(NAMES[0], stream) as tim, here.terminal(NAMES[1], stream) as alex:
            people = tim, alex
            for person in people:
                person.connected(f"{person.user}-is-here")
            soak = Soak(people, options.rate)
            try:
                soak.run(options.minutes)
            finally:
                about |= {"minutes": options.minutes, "messages": soak.typed, "not on a screen": soak.missing()}
                about["load average"]["after"] = os.getloadavg()
                content = as_json({**about, "samples": [asdict(sample) for sample in soak.samples]})
                options.json.parent.mkdir(parents=True, exist_ok=True)
                options.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    found = rows(soak.samples, min(WARM, options.minutes / 2))
    print(f"{soak.typed:,} messages in {options.minutes:g} minutes, not on a screen: {soak.missing()}")
    print(table(found))
    print(f"written to {options.json}", file=sys.stderr)
    return 0 if all(row.met for row in found) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--client", choices=("wheel", "java"), help="the chats' client (the one that is chosen)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how long ({MINUTES:g})")
    parser.add_argument("--rate", type=float, default=RATE, help=f"messages a second ({RATE:g})")
    parser.add_argument("--json", type=Path, default=report.ROOT / "build" / "soak.json", help="(build/soak.json)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
