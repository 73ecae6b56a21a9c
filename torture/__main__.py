"""``python -m torture``: breaks real parts on purpose while four people chat, and proves that nothing is lost.

A run leaves its folder (schedule, what happened when, logs, histories, what the screens showed) when anything was
wrong, and says where. The same seed makes the same schedule, texts and strange events.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from streamcli.log.opening import choose
from torture import report
from torture.run import load, run, sized
from torture.testbed import Testbed

MINUTES = 15.0  # in which people type; the checks take some more
EVENTS = 1_000_000


def main() -> int:
    """Run, report, and tidy up when all was well."""
    options = _options()
    if options.write_docs:
        report.write_docs()
        return 0
    if options.client:
        os.environ["STREAMCLI_CLIENT"] = options.client
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="streamcli-torture-"))
    testbed, before, well = Testbed(folder.absolute()), load(), False
    print(f"seed {options.seed}; what happens is written to {folder / 'events.log'}", file=sys.stderr, flush=True)
    try:
        outcome = run(testbed, options.seed, sized(options.short, options.minutes, options.events))
        found = report.figures(outcome, options.seed, (before, load())) | {
            "client": options.client or choose().name,
            "asked minutes": options.minutes,
            "asked events": options.events,
        }
        print("\n".join(report.lines(found)))
        if not options.short:
            print(f"written to {report.keep(found)}", file=sys.stderr)
        well = not found["problems"]
    finally:
        testbed.stop()
        if well and not options.folder:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"what is left of it lies in {folder}", file=sys.stderr)
    return 0 if well else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torture", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="of schedule, texts and strange events (1)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"in which people type ({MINUTES:g})")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"strange events that are made ({EVENTS:,})")
    parser.add_argument("--client", choices=("wheel", "java"), help="the chats' client (the one that is chosen)")
    parser.add_argument("--short", action="store_true", help="some faults of each kind in half a minute")
    parser.add_argument("--folder", type=Path, help="where all lies; it is kept then")
    parser.add_argument("--write-docs", action="store_true", help="no run: write the kept ones to docs/reliability.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
