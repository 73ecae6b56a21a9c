"""From figures to the table, the JSON file and the measured part of docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, get_args

import psutil

import streamcli
from bench.figures import Row, Summary, as_json, at_least, at_most, spread, summary, table
from streamcli.model.address import ClientName

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "performance.md"
PART = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end measured -->)", re.DOTALL)
CLIENTS = get_args(ClientName)
MEMORY = {"wheel": 150, "java": 160}  # MiB of all processes of a chat: the goals
Figures = dict[str, Any]


def rows(figures: Figures) -> list[Row]:
    """The table's rows, for those of the figures that were measured."""
    found: list[Row] = []
    for name, build in _BUILDERS.items():
        if name in figures:
            found += build(figures[name])
    return found


def _by_client(found: Figures) -> list[tuple[str, Any]]:
    """What was measured for each client, in the order in which their rows stand."""
    return [(client, found[client]) for client in CLIENTS if client in found]


def _latency(found: Figures) -> list[Row]:
    raw = summary(found["raw"])
    rows = [Row("raw client, write to read, 50 msg/s", spread(raw))]
    chats = {client: summary(took) for client, took in _by_client(found)}
    for client, chat in chats.items():
        limit = 2 * raw.p99 + 15
        rows += [
            Row(f"Enter to the other screen, 50 msg/s, {client}", spread(chat)),
            at_most("– p50 above the raw client's", chat.p50 - raw.p50, 4, "ms"),
            at_most("– p99", chat.p99, limit, "ms", f"at most 2 x raw + 15 ms = {limit:.0f} ms"),
        ]
    if len(chats) > 1:
        rows.append(at_most("– p50 above the wheel's", chats["java"].p50 - chats["wheel"].p50, 0.5, "ms"))
    return rows


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
    rows, rates, messages = [], {}, found["messages"]
    for client, took in _by_client(found):
        prompt, everything = median(took["prompt"]), median(took["all"])
        rates[client] = messages / (everything - prompt)
        rows += [
            Row(
                f"someone new, {messages:,} messages, {client}: to the prompt", f"{prompt:.2f} s ({_runs(took['all'])})"
            ),
            Row("– until the last one is on the screen", f"{everything:.2f} s ({_runs(took['all'])})"),
            at_least("– messages a second, from the command on", messages / everything, 50_000, "/s"),
            at_least("– messages a second into the history", rates[client], 100_000, "/s"),
            at_most(
                "– memory of the chat's processes then", median(took["rss"]), MEMORY[client], "MiB", note=_pss(took)
            ),
        ]
    if len(rates) > 1:
        rows.append(
            at_least("– into the history, java's share of the wheel's", rates["java"] / rates["wheel"], 0.9, "")
        )
    return rows


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
    rows = []
    for client, took in _by_client(found):
        seconds = summary(took)
        what = f"start to first own line read back, server named, {client}"
        rows.append(at_most(what, seconds.p50, 2, "s", note=_start_note(seconds)))
    return rows


def _idle(found: Figures) -> list[Row]:
    rows, server = [], 0.0
    for client, held in _by_client(found):
        note, server = f" (shared out: {held['pss']:.0f})", held["server rss"]
        rows += [
            at_most(f"memory of an idle chat's processes, {client}", held["rss"], MEMORY[client], "MiB", note=note),
            at_most("– CPU", held["cpu"], 1, "%"),
        ]
    return [*rows, Row("memory of the embedded server, for comparison", f"{server:.0f} MiB")]


def _growth(found: Figures) -> list[Row]:
    what = f"memory of the prompt's process after {found['messages']:,} messages in one run: more than before"
    return [at_most(what, found["grown"], 10, "MiB", note=f" (in all {found['rss']:.0f})")]


def _guests(found: Figures) -> list[Row]:
    direct = summary(found["direct to direct"])
    rows = [Row("chat to chat, both direct, 50 msg/s", spread(direct))]
    for name, more in (
        ("owner to guest", 4),
        ("guest to owner", 4),
        ("guest to guest", 4),
        ("owner to far guest", 30),
        ("far guest to owner", 30),
    ):
        took = summary(found[name])
        rows += [Row(name.replace("far guest", "guest at 50 ms round trip"), spread(took))]
        rows += [at_most("– p50 above direct", took.p50 - direct.p50, more, "ms")]
    return [*rows, *_guests_starts(found), *_many_guests(found)]


def _guests_starts(found: Figures) -> list[Row]:
    near, far = summary(found["start near"]), summary(found["start far"])
    guest, own = median(found["catch-up guest"]), median(found["catch-up direct"])
    what = f"a new guest, {found['messages']:,} messages: until the last one is on the screen"
    return [
        Row("a guest's start to live", f"{near.p50:.2f} s{_start_note(near)}"),
        at_most("– at 50 ms round trip", far.p50, 0.7, "s", note=_start_note(far)),
        Row(what, f"{guest:.2f} s ({_runs(found['catch-up guest'])})"),
        at_least("– speed, as a multiple of a direct chat's", own / guest, 1.0, "", note=f" (direct {own:.2f} s)"),
    ]


def _many_guests(found: Figures) -> list[Row]:
    many, all_of = summary(found["many"]), f" (with 25 guests {found['gate with many']:.0f})"
    note = f" (p99 {many.p99:.1f}, n = {many.n:,})"
    return [
        at_most("20 guests, 20 msg/s, append to arrival at each: p50", many.p50, 10, "ms", note=note),
        at_most("memory of the gate with its workers", found["gate rss"], 100, "MiB", note=all_of),
        at_most("memory of a guest's chat, one process", found["guest rss"], 50, "MiB"),
    ]


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
    "guests": _guests,
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
    summaries = {name: asdict(summary(samples)) for name, samples in _sample_lists("", figures)}
    content = {
        **about,
        "rows": [asdict(row) for row in rows(figures)],
        "summaries": summaries,
        "figures": figures,
    }
    return json.dumps(as_json(content), indent=1, ensure_ascii=False) + "\n"


def _sample_lists(name: str, found: Any) -> Iterator[tuple[str, list[float]]]:
    """All lists of samples, each with where it stands."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield from _sample_lists(f"{name}: {key}" if name else key, value)
    elif isinstance(found, list):
        yield name, found


def write_docs(figures: Figures, about: dict[str, Any]) -> None:
    """Put the table into docs/performance.md; what a person wrote around it stays."""
    load = about["load average"]
    said = (
        f"{about['date'][:10]}, {about['cpus']} cores, {about['memory MiB'] / 1024:.0f} GiB, {about['system']}, "
        f"Python {about['python']}, load average {load['before'][0]:.1f} before and {load['after'][0]:.1f} after."
    )
    text = DOCS.read_text("utf-8")
    DOCS.write_text(PART.sub(lambda part: f"{said}\n\n{table(rows(figures))}\n", text), "utf-8")
