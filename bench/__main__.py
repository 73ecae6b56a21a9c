"""``python -m bench``: measures streamcli on a server of its own, prints one table and writes a JSON file.

It takes about eleven minutes with both clients. Take figures from a machine that has nothing else to do: the load
average before and after stands in the file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import guests, kills, latency, load, memory, report
from bench.figures import table
from bench.testbed import Testbed, running_testbed
from streamcli.log.opening import choose
from streamcli.model.address import ClientName

PARTS = (
    "start",
    "connected",
    "latency",
    "echo",
    "send",
    "catch-up",
    "history",
    "search",
    "idle",
    "growth",
    "guests",
    "kills",
)
RESULT = report.ROOT / "build" / "bench.json"


def main() -> int:
    """Measure and report."""
    options = _options()
    clients = [options.client] if options.client else both()
    os.environ["STREAMCLI_CLIENT"] = clients[0]
    about: dict[str, Any] = {**report.machine(), "load average": {"before": os.getloadavg()}}
    figures: report.Figures = {}
    with running_testbed() as here:
        for name, measure in _parts(options.quick, clients).items():
            if name in options.only:
                print(f"{name} ...", file=sys.stderr, flush=True)
                figures[name] = measure(here)
    about["load average"]["after"] = os.getloadavg()
    print(table(report.rows(figures)))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(report.as_file(figures, about), "utf-8")
    print(f"load average {about['load average']['before'][0]:.1f} before; written to {options.json}", file=sys.stderr)
    if options.write_docs:
        report.write_docs(figures, about)
    return 0


def both() -> list[ClientName]:
    """The clients that can be used here; the one that is chosen comes first."""
    choice = choose()
    other: ClientName = "java" if choice.name == "wheel" else "wheel"
    return [choice.name] if choice.other_lacks else [choice.name, other]


def _parts(quick: bool, clients: Sequence[ClientName]) -> dict[str, Callable[[Testbed], dict[str, Any]]]:
    lines, messages, remembered = 20_000, 100_000, 50_000 if quick else 1_000_000
    blocks, keys, starts, runs, seconds = (1, 50, 5, 1, 5) if quick else (4, 200, 15, 3, 20)
    return {
        "start": lambda testbed: {
            "named": load.start_to_prompt(testbed, starts, embedded=False),
            "embedded": load.start_to_prompt(testbed, starts, embedded=True),
        },
        "connected": lambda testbed: load.start_to_connected(testbed, starts, clients),
        "latency": lambda testbed: latency.enter_to_screen(testbed, blocks, clients),
        "echo": lambda testbed: latency.key_to_echo(testbed, keys),
        "send": lambda testbed: {"lines": lines, **load.send(testbed, lines, runs)},
        "catch-up": lambda testbed: {"messages": messages, **load.catch_up(testbed, messages, runs, clients)},
        "history": lambda testbed: {"messages": messages, **memory.start_from_disk(testbed, messages, starts)},
        "search": lambda testbed: {"messages": remembered, **memory.search(remembered, rounds=keys // 2)},
        "idle": lambda testbed: {client: load.idle(testbed, seconds, client) for client in clients},
        "growth": lambda testbed: load.growth(testbed, remembered),
        "guests": lambda testbed: {"messages": messages, **guests.measure(testbed, blocks, messages, runs)},
        "kills": lambda testbed: kills.after_a_kill(3 if quick else 7),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a quarter of the runs: to try things out")
    parser.add_argument("--json", type=Path, default=RESULT, help="where the file goes (build/bench.json)")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md as well")
    parser.add_argument("--client", choices=("wheel", "java"), help="only this one (by turns all that can be used)")
    options = parser.parse_args()
    if options.write_docs and (options.quick or set(options.only) != set(PARTS)):
        parser.error("--write-docs takes the whole bench")
    return options


if __name__ == "__main__":
    sys.exit(main())
