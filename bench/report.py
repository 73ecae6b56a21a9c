"""From figures to the table, the JSON file and the measured part of docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

import streamcli
from bench.figures import Row, Summary, as_json, at_least, at_most, spread, summary, table

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "performance.md"
PART = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end measured -->)", re.DOTALL)
Figures = dict[str, Any]


def rows(figures: Figures) -> list[Row]:
    """The table's rows, for those of the figures that were measured."""
    found: list[Row] = []
    for name, build in _BUILDERS.items():
        if name in figures:
            found += build(figures[name])
    return found


def _latency(found: Figures) -> list[Row]:
    chat, raw = summary(found["chat"]), summary(found["raw"])
    return [
        Row("raw client, write to read, 50 msg/s", spread(raw)),
        Row("Enter to the other screen, 50 msg/s", spread(chat)),
        at_most("– p50 above the raw client's", chat.p50 - raw.p50, 4, "ms"),
        at_most("– p99", chat.p99, 2 * raw.p99 + 15, "ms", f"at most 2 x raw + 15 ms = {2 * raw.p99 + 15:.0f} ms"),
    ]


def _echo(found: Figures) -> list[Row]:
    quiet, busy = summary(found["quiet"]), summary(found["busy"])
    return [
        Row("key to echo, nothing else happens", spread(quiet)),
        Row("key to echo, 50 msg/s arrive", spread(busy)),
        at_most("– p99", busy.p99, 50, "ms"),
    ]


def _send(found: Figures) -> list[Row]:
    one, many, lines = median(found["one"]), median(found["many"]), found["lines"]
    return [
        Row("send, one line, from command to end", f"{one:.2f} s ({_runs(found['one'])})"),
        Row(f"send, {lines:,} lines, from command to end", f"{many:.2f} s ({_runs(found['many'])})"),
        Row("– lines a second, start not counted", f"{lines / (many - one):,.0f} /s"),
    ]


def _catch_up(found: Figures) -> list[Row]:
    prompt, everything, messages = median(found["prompt"]), median(found["all"]), found["messages"]
    return [
        Row(f"someone new, {messages:,} messages: to the prompt", f"{prompt:.2f} s ({_runs(found['prompt'])})"),
        Row("– until the last one is on the screen", f"{everything:.2f} s ({_runs(found['all'])})"),
        at_least("– messages a second, from the command on", messages / everything, 50_000, "/s"),
        at_least("– messages a second into the history", messages / (everything - prompt), 100_000, "/s"),
        at_most("– memory of the chat's processes then", median(found["rss"]), 150, "MiB", note=_pss(found)),
    ]


def _history(found: Figures) -> list[Row]:
    shown = summary(found["shown"])
    what = f"a start with {found['messages']:,} messages in the history, until the last is on the screen"
    return [at_most(what, shown.p50, 0.5, "s", note=_start_note(shown))]


def _search(found: Figures) -> list[Row]:
    stored, searched, messages = summary(found["store"]), summary(found["search"]), found["messages"]
    return [
        at_least(f"storing {messages:,} messages, a second", stored.p50, 100_000, "/s", note=f" (n = {stored.n})"),
        Row("– indexing their words, a second", f"{median(found['index']):,.0f} /s"),
        Row("searching them", spread(searched)),
        at_most("– p50", searched.p50, 30, "ms"),
    ]


def _start(found: Figures) -> list[Row]:
    named, embedded = summary(found["named"]), summary(found["embedded"])
    return [
        at_most("start to prompt, server named", named.p50, 0.5, "s", note=_start_note(named)),
        at_most("start to prompt, embedded server", embedded.p50, 0.5, "s", note=_start_note(embedded)),
    ]


def _connected(found: Figures) -> list[Row]:
    seconds = summary(found["seconds"])
    return [at_most("start to first own line read back, server named", seconds.p50, 2, "s", note=_start_note(seconds))]


def _idle(found: Figures) -> list[Row]:
    return [
        at_most(
            "memory of an idle chat's processes", found["rss"], 150, "MiB", note=f" (shared out: {found['pss']:.0f})"
        ),
        at_most("CPU of an idle chat's processes", found["cpu"], 1, "%"),
        Row("memory of the embedded server, for comparison", f"{found['server rss']:.0f} MiB"),
    ]


def _growth(found: Figures) -> list[Row]:
    what = f"memory of the prompt's process after {found['messages']:,} messages in one run: more than before"
    return [at_most(what, found["grown"], 10, "MiB", note=f" (in all {found['rss']:.0f})")]


def _kills(found: Figures) -> list[Row]:
    rows = []
    for name, seconds in found.items():
        took, goal = summary(seconds), 1 if name.endswith("alone") else 5
        note = f" (longest {took.max:.1f}, n = {took.n})"
        rows.append(at_most(f"kill -9 of the {name}: to the next message", took.p50, goal, "s", note=note))
    return rows


_BUILDERS = {
    "latency": _latency,
    "echo": _echo,
    "start": _start,
    "connected": _connected,
    "send": _send,
    "catch-up": _catch_up,
    "history": _history,
    "search": _search,
    "idle": _idle,
    "growth": _growth,
    "kills": _kills,
}


def _start_note(found: Summary) -> str:
    return f" (p90 {found.p90:.2f}, n = {found.n})"


def _pss(found: Figures) -> str:
    return f" (shared out: {median(found['pss']):.0f})"


def _runs(samples: list[float]) -> str:
    return f"median of {len(samples)}" if len(samples) > 1 else "one run"


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "memory MiB": psutil.virtual_memory().total >> 20,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "streamcli": streamcli.__version__,
        "versions": {name: version(name) for name in ("pravega", "prompt_toolkit", "pydantic")},
        "pravega server": "0.13.0, embedded, in memory",
    }


def as_file(figures: Figures, about: dict[str, Any]) -> str:
    """The JSON file: what it was measured on, each list of samples summed up, the rows, and the samples themselves."""
    summaries = {
        f"{group}: {name}": asdict(summary(samples))
        for group, found in figures.items()
        for name, samples in found.items()
        if isinstance(samples, list)
    }
    content = {
        **about,
        "rows": [asdict(row) for row in rows(figures)],
        "summaries": summaries,
        "figures": figures,
    }
    return json.dumps(as_json(content), indent=1, ensure_ascii=False) + "\n"


def write_docs(figures: Figures, about: dict[str, Any]) -> None:
    """Put the table into docs/performance.md; what a person wrote around it stays."""
    load = about["load average"]
    said = (
        f"{about['date'][:10]}, {about['cpus']} cores, {about['memory MiB'] / 1024:.0f} GiB, {about['system']}, "
        f"Python {about['python']}, load average {load['before'][0]:.1f} before and {load['after'][0]:.1f} after."
    )
    text = DOCS.read_text("utf-8")
    DOCS.write_text(PART.sub(lambda part: f"{said}\n\n{table(rows(figures))}\n", text), "utf-8")
