"""Never lost, never twice, in one order: what is in the log, in each history and on each screen, held against what was
typed. Pure, but for the reading of the files."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from streamcli.model.message import Message, Unreadable, decode
from torture.person import TEXT, Line, Person, copied

SYNCED_WITHIN = 3.0  # seconds from Enter to the disk, on a machine on which much else goes on
NAMED = 5


class Said(NamedTuple):
    """A message of the run."""

    sender: str
    number: int
    id: str

    def __str__(self) -> str:
        return f"{self.sender} m{self.number:06}"


@dataclass
class Evidence:
    """What is left at the end."""

    log: list[Said]  # with what stands in it twice
    histories: dict[str, list[Said]]
    typed: dict[str, list[Line]] = field(default_factory=dict)
    screens: dict[str, list[list[tuple[str, int]]]] = field(default_factory=dict)  # by life
    waiting: dict[str, set[int]] = field(default_factory=dict)
    full: set[tuple[str, int]] = field(default_factory=set)  # lives whose disk was full


@dataclass
class Verdict:
    """What came out; without ``problems`` everything that was promised holds."""

    problems: list[str]
    messages: int  # in the log, each counted once
    again: int  # how often the log holds a message once more: a retry
    never_synced: int  # lines whose terminal was killed before the disk had them, and that are in no log


def check(evidence: Evidence) -> Verdict:
    """Hold all against all."""
    log, again = _once(evidence.log)
    problems = []
    for name, history in evidence.histories.items():
        problems += [f"{name}'s history {text}" for text in _differences(log, history)]
    never_synced = 0
    for name, lines in evidence.typed.items():
        there = [said.number for said in log if said.sender == name]
        if there != sorted(there):
            wrong = next(one for one, after in pairwise(there) if one > after)
            problems.append(f"{name}'s messages stand in another order than they were typed, from m{wrong:06} on")
        known = set(there)
        for line in lines:
            if line.number in known:
                continue
            why = _why_lost(line, (name, line.life) in evidence.full)
            never_synced += not why
            problems += [f"{name} m{line.number:06} is lost: {why}"] if why else []
        if extra := known - {line.number for line in lines}:
            problems.append(f"{name} never typed {sorted(extra)[:NAMED]}")
    for name, waiting in evidence.waiting.items():
        if waiting:
            problems.append(f"{len(waiting)} messages still wait in {name}'s outbox: {sorted(waiting)[:NAMED]}")
    problems += _screens(evidence.screens, log)
    return Verdict(problems, len(log), again, never_synced)


def _once(log: Iterable[Said]) -> tuple[list[Said], int]:
    """The log without repeated messages, and how many were repeated."""
    seen: dict[Said, None] = {}
    count = 0
    for said in log:
        seen.setdefault(said)
        count += 1
    return list(seen), count - len(seen)


def _differences(log: Sequence[Said], history: Sequence[Said]) -> list[str]:
    problems = []
    there, wanted = Counter(history), Counter(log)
    if lost := [str(said) for said in log if not there[said]]:
        problems.append(f"has lost {len(lost)} messages: {', '.join(lost[:NAMED])}")
    if double := [str(said) for said, count in there.items() if count > 1]:
        problems.append(f"holds {len(double)} messages twice: {', '.join(double[:NAMED])}")
    if strange := [str(said) for said in there if not wanted[said]]:
        problems.append(f"holds {len(strange)} messages that are not in the log: {', '.join(strange[:NAMED])}")
    if not problems and list(history) != list(log):
        at = next(place for place, (one, other) in enumerate(zip(log, history, strict=True)) if one != other)
        problems.append(f"has another order than the log from message {at} on: {log[at]} there, {history[at]} here")
    return problems


def _why_lost(line: Line, disk_was_full: bool) -> str:
    """Why the loss of this line can't be excused; "" when it was never synced, and could not be."""
    if line.read_back is not None:
        return "it had been read back"
    if line.synced:
        return "it was in the outbox when its terminal was killed"
    if line.synced is None:
        return "its terminal was never killed"
    if line.waited > SYNCED_WITHIN and not disk_was_full:
        return f"it was not synced {line.waited:.1f} s after Enter"
    return ""


def _screens(screens: dict[str, list[list[tuple[str, int]]]], log: Sequence[Said]) -> list[str]:
    """In one life no message stands on the screen twice, and all stand in the log's order."""
    place = {(said.sender, said.number): at for at, said in enumerate(log)}
    problems = []
    for name, lives in screens.items():
        for number, seen in enumerate(lives):
            where = f"on {name}'s screen, in life {number},"
            if double := [one for one, count in Counter(seen).items() if count > 1]:
                problems.append(f"{where} {len(double)} messages stand twice: {double[:NAMED]}")
            if strange := [one for one in seen if one not in place]:
                problems.append(f"{where} stand messages that are not in the log: {strange[:NAMED]}")
            order = [place[one] for one in dict.fromkeys(seen) if one in place]
            if order != sorted(order):
                problems.append(f"{where} messages stand in another order than in the log")
    return problems


def said(content: Message | Unreadable) -> Said | None:
    """A message of the run, or None for something else."""
    if isinstance(content, Unreadable) or not (found := TEXT.match(content.message)):
        return None
    return Said(content.sender, int(found[1]), content.id)


def times_of(events: Iterable[bytes]) -> dict[tuple[str, int], list[datetime]]:
    """The times that the run's messages carry in the raw log, by sender and number."""
    found: dict[tuple[str, int], list[datetime]] = {}
    for event in events:
        content = decode(event, 0)
        if not isinstance(content, Unreadable) and (one := said(content)):
            times = [time for time in (content.sent_at, content.typed_at) if time]
            found.setdefault((one.sender, one.number), []).extend(times)
    return found


def log_of(events: Iterable[bytes]) -> list[Said]:
    """What stands in the raw log."""
    return [one for event in events if (one := said(decode(event, 0)))]


def stored(folder: Path) -> list[Message | Unreadable]:
    """What the history below a user's folder holds, in its order. There is one, if no log was taken for another."""
    found: list[Message | Unreadable] = []
    for path in sorted(folder.glob("logs/*/history-*.db")):
        with copied(path) as connection:
            rows = connection.execute("SELECT offset, event FROM message ORDER BY number")
            found += [decode(event, offset) for offset, event in rows]
    return found


def count_of(folder: Path) -> int:
    """How many messages the history below a user's folder holds."""
    count = 0
    for path in folder.glob("logs/*/history-*.db"):
        with copied(path) as connection, suppress(sqlite3.Error):  # it is being written
            count += connection.execute("SELECT count(*) FROM message").fetchone()[0]
    return count


def history_of(folder: Path) -> list[Said]:
    """The run's messages in the history below a user's folder, in its order."""
    return [one for content in stored(folder) if (one := said(content))]


def evidence(log: list[Said], people: Sequence[Person], listeners: dict[str, Path]) -> Evidence:
    """Gather what is left; ``listeners`` have only read."""
    found = Evidence(log, {name: history_of(folder) for name, folder in listeners.items()})
    for person in people:
        found.histories[person.name] = history_of(person.data)
        found.typed[person.name] = person.lines
        found.screens[person.name] = [life.seen for life in person.lives]
        found.waiting[person.name] = person.outbox()
        found.full |= {(person.name, life.number) for life in person.lives if life.disk_full}
    return found
