"""From an outcome to a table, a JSON file, and the measured part of docs/reliability.md."""

from __future__ import annotations

import bisect
import json
import os
import platform
import re
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.figures import Summary, as_json, summary
from torture.fault_runner import Hit
from torture.run import Echo, Outcome

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "reliability.md"
BUILD = ROOT / "build"
PART = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end measured -->)", re.DOTALL)
P99, LONGEST = 50.0, 250.0  # milliseconds from a key to its echo: the goals
STATES = ("well", "dead", "stopped", "black hole")
Figures = dict[str, Any]


def figures(outcome: Outcome, seed: int, load: tuple[float, float]) -> Figures:
    """All that was found, as it goes into the file."""
    runner, verdict = outcome.runner, outcome.verdict
    return {
        "seed": seed,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        "load average": load,
        "minutes": outcome.seconds / 60,
        "faults": _faults(runner.hits),
        "proved": sum(hit.proved for hit in runner.hits),
        "did not happen": len(runner.missed) + sum(not hit.proved for hit in runner.hits),
        "server restarts seconds": runner.faults.server.restarts,
        "gate restarts seconds": runner.faults.gate.restarts,
        "stops over 60 s": sum(hit.kind.startswith("stop") and hit.fault.length > 60 for hit in runner.hits),
        "messages": verdict.messages,
        "written again": verdict.again,
        "never synced": verdict.never_synced,
        "chats": sum(len(person.lives) for person in runner.people),
        "echo": _echoes(outcome.echoes["owner"], runner.faults.server.states),
        "timer": asdict(summary([echo.late for echo in outcome.echoes["owner"]])),
        "guest's echo": _echoes(outcome.echoes["guest"], runner.faults.gate.states),
        "guest's timer": asdict(summary([echo.late for echo in outcome.echoes["guest"]])),
        "strange events": asdict(outcome.fuzzed),
        "strange events through the log": outcome.logged,
        "problems": outcome.problems,
    }


def _faults(hits: list[Hit]) -> Figures:
    by_kind: dict[str, list[Hit]] = defaultdict(list)
    for hit in hits:
        by_kind[hit.kind].append(hit)
    found = {}
    for kind, some in sorted(by_kind.items()):
        took = [hit.recovered for hit in some if hit.recovered is not None]
        found[kind] = {
            "count": len(some),
            "median": statistics.median(took) if took else None,
            "longest": max(took, default=None),
            "not seen": len(some) - len(took),
        }
    return found


def _echoes(echoes: list[Echo], states: list[tuple[float, str]]) -> Figures:
    """The echo times summed up, in all and by how server or gate was when the key was pressed."""
    since = [at for at, _ in states]
    by_state: dict[str, list[float]] = defaultdict(list)
    for echo in echoes:
        by_state["in all"].append(echo.took)
        by_state[states[max(0, bisect.bisect_right(since, echo.at) - 1)][1]].append(echo.took)
    return {state: asdict(summary(took)) for state, took in by_state.items()}


def lines(found: Figures) -> list[str]:
    """What is printed."""
    faults = found["faults"]
    count = sum(one["count"] for one in faults.values())
    text = [
        f"{_name(found)}, {found['minutes']:.1f} min, load average {_two(found['load average'])}: "
        f"{count} faults survived, {found['proved']} of them proved ({found['did not happen']} did not happen), "
        f"{found['messages']:,} messages, {found['written again']} written again and dropped, "
        f"{found['never synced']} typed too late to be synced before a kill",
        *_fault_rows([found]),
        "",
        *_echo_tables([found]),
        "",
        f"strange events: {found['strange events']['events']:,} in {found['strange events']['seconds']:.0f} s, "
        f"{found['strange events through the log']:,} through the real log",
    ]
    return text + [f"PROBLEM: {problem}" for problem in found["problems"]]


def _name(run: Figures) -> str:
    return f"{run['client']}, seed {run['seed']}"


def _two(load: tuple[float, float]) -> str:
    return f"{load[0]:.1f} before, {load[1]:.1f} after"


def _fault_rows(runs: list[Figures]) -> list[str]:
    kinds = sorted({kind for run in runs for kind in run["faults"]})
    heads = [f"{_name(run)}: how often, median, longest" for run in runs]
    rows = [f"| fault | {' | '.join(heads)} |", f"| --- |{' --- |' * len(runs)}"]
    for kind in kinds:
        cells = [_fault_cell(run["faults"].get(kind)) for run in runs]
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    total = [str(sum(one["count"] for one in run["faults"].values())) for run in runs]
    return [*rows, f"| **in all** | {' | '.join(total)} |"]


def _fault_cell(found: Figures | None) -> str:
    if not found:
        return "–"
    if found["longest"] is None:
        return f"{found['count']}, –"
    unseen = f" ({found['not seen']} at the end, unseen)" if found["not seen"] else ""
    return f"{found['count']}, {found['median']:.1f} s, {found['longest']:.1f} s{unseen}"


def _echo_tables(runs: list[Figures]) -> list[str]:
    owner = _echo_rows(runs, "key to an owner's echo, server", "echo", "timer")
    return [*owner, "", *_echo_rows(runs, "key to a guest's echo, gate", "guest's echo", "guest's timer")]


def _echo_rows(runs: list[Figures], title: str, echo: str, timer: str) -> list[str]:
    heads = [f"{_name(run)}: p50, p99, max (keys)" for run in runs]
    rows = [f"| {title} | {' | '.join(heads)} |", f"| --- |{' --- |' * len(runs)}"]
    for state in ("in all", *STATES):
        cells = [_echo_cell(run[echo].get(state)) for run in runs]
        rows.append(f"| {state} | {' | '.join(cells)} |")
    timers = [_echo_cell(run[timer]) for run in runs]
    rows.append(f"| for comparison: a timer of the typist, late by | {' | '.join(timers)} |")
    goals = [_goals(Summary(**run[echo]["in all"])) for run in runs]
    return [*rows, f"| p99 under {P99:.0f} ms, max under {LONGEST:.0f} ms | {' | '.join(goals)} |"]


def _echo_cell(found: Figures | None) -> str:
    if not found:
        return "–"
    one = Summary(**found)
    return f"{one.p50:.1f}, {one.p99:.1f}, {one.max:.0f} ms ({one.n:,})"


def _goals(found: Summary) -> str:
    return f"{'met' if found.p99 < P99 else 'NOT met'}, {'met' if found.max < LONGEST else 'NOT met'}"


def keep(found: Figures) -> Path:
    """Write the file of one run; the docs are made of them."""
    BUILD.mkdir(exist_ok=True)
    path = BUILD / f"torture-{found['client']}-{found['seed']}.json"
    path.write_text(json.dumps(as_json(found), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def write_docs() -> None:
    """Put what the kept runs have found into docs/reliability.md; what a person wrote around it stays."""
    runs = [json.loads(path.read_text("utf-8")) for path in sorted(BUILD.glob("torture-*.json"))]
    if not runs:
        raise SystemExit("no run was kept: nothing to write")
    facts: list[tuple[str, Callable[[Figures], str]]] = [
        ("when, on what", lambda run: f"{run['date']}, {run['machine']}"),
        ("client", lambda run: run["client"]),
        ("load average", lambda run: _two(run["load average"])),
        ("minutes, with all checks", lambda run: f"{run['minutes']:.1f}"),
        ("messages in the log, each counted once", lambda run: f"{run['messages']:,}"),
        ("– written once more after a fault, and dropped", lambda run: str(run["written again"])),
        ("– typed and not synced when the prompt was killed", lambda run: str(run["never synced"])),
        ("chats opened", lambda run: str(run["chats"])),
        ("stops of over 60 s", lambda run: str(run["stops over 60 s"])),
        ("faults that proved that they happened, and that did not happen", _proved),
        ("server away, longest", lambda run: _longest(run["server restarts seconds"])),
        ("gate away, longest", lambda run: _longest(run["gate restarts seconds"])),
        ("strange events through decode, fold, history, drawing", lambda run: f"{run['strange events']['events']:,}"),
        ("– through the real log", lambda run: f"{run['strange events through the log']:,}"),
        ("lost, doubled, out of order, left over", lambda run: "; ".join(run["problems"]) or "none"),
    ]
    rows = [f"| run | {' | '.join(_command(run) for run in runs)} |", f"| --- |{' --- |' * len(runs)}"]
    rows += [f"| {name} | {' | '.join(fact(run) for run in runs)} |" for name, fact in facts]
    part = "\n".join([*rows, "", *_fault_rows(runs), "", *_echo_tables(runs)])
    DOCS.write_text(PART.sub(lambda _: f"{part}\n", DOCS.read_text("utf-8")), "utf-8")


def _proved(run: Figures) -> str:
    return f"{run['proved']}, {run['did not happen']}"


def _command(run: Figures) -> str:
    arguments = f"--client {run['client']} --seed {run['seed']} --minutes {run['asked minutes']:g}"
    arguments += f" --events {run['asked events']}"
    return f'`make torture ARGS="{arguments}"`'


def _longest(seconds: list[float]) -> str:
    return f"{max(seconds):.1f} s of {len(seconds)} times" if seconds else "–"
