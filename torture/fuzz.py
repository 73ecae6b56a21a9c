"""Events that nobody should write, by the million, through everything that an event from the log passes.

Decoding, identity, fold, history and drawing may not fail over any of them, and no readable event may be lost or
doubled by its neighbours.
"""

from __future__ import annotations

import json
import random
import sqlite3
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from streamcli.log.raw_events import HEAD_BYTES
from streamcli.model.clock_skew import SkewDetector
from streamcli.model.cursor import Cursor
from streamcli.model.dedup_key import dedup_key
from streamcli.model.event import Arrived, DecodedEvent
from streamcli.model.message import Message, Unreadable, decode
from streamcli.storage.history import History
from streamcli.ui.render import MessageStyle
from streamcli.views.timeline import Timeline

BATCH = 1000
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
LONGEST = 100_000  # bytes
PLACE = "fuzz#0"
_TEXTS = (
    *("hello", "", " ", "greet", "joke", "x" * 200, "日本語", "ﷺ" * 9, "e\u0301" * 40, "\u0338" * 30),
    *("\x1b[2J\x1b]0;owned\x07", "a\r\nb\tc\x00d", "\u202etxt.exe", "\ud800", "\u200b\u2060\ufeff", "\x9b31m"),
    *("\U0001f469\u200d\U0001f469\u200d\U0001f467", "line\u2028line\u2029line\x85line"),
)
_KINDS = ("chat", "greet", "joke", "me", "poll", "", "x" * 65, None, 7, ["chat"], "CHAT", "\x1b[1m")
_TIMES = (
    *("2026-11-22T16:00:00.123Z", "2026-11-22T16:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+14:00", "now"),
    *(0, 1e308, -1, None, "2026-02-30T00:00:00Z", "2199-12-31T23:59:59.999999-12:00"),
)
_ODD: tuple[Any, ...] = (None, True, -1, 2**70, 1.5, [], {}, [[]], {"a": {"b": 1}}, "", "\x00", float("inf"))


def events(seed: int, count: int) -> Iterator[bytes]:
    """So many events, the same ones for the same seed."""
    chance = random.Random(f"fuzz {seed}")
    ids = 0
    last: list[bytes] = [b""]
    for number in range(count):
        what = chance.random()
        if what < 0.35:
            ids += 1
            event = _dumped(chance, _ours(chance, ids))
        elif what < 0.65:
            event = _dumped(chance, _broken(chance, _ours(chance, ids)))
        elif what < 0.75:
            event = _dumped(chance, {"sender": chance.choice(_TEXTS), "message": chance.choice(_TEXTS)})
        elif what < 0.83:
            event = chance.choice(last)  # a retry, or somebody who says the same again
        elif what < 0.91:
            event = _mangled(chance, chance.choice(last))
        elif what < 0.97:
            event = chance.randbytes(chance.choice((0, 1, 2, 7, 8, 40, 300)))
        else:
            event = _strange(chance, number)
        if len(last) < 50:
            last.append(event)
        else:
            last[number % 50] = event
        yield event[:LONGEST]


def _ours(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "sender": chance.choice(("tim", "alex", "mara", *_TEXTS)),
        "message": " ".join(chance.choices(_TEXTS, k=chance.choice((1, 1, 2, 5)))),
        "id": f"{1_700_000_000_000 + number:012x}{number:020x}",
        "kind": chance.choice(_KINDS[:5]),
        "room": chance.choice(("lobby", "ops", *_TEXTS)),
        "sent_at": chance.choice(_TIMES[:2]),
        "v": 1,
    }


def _broken(chance: random.Random, fields: dict[str, Any]) -> dict[str, Any]:
    for _ in range(chance.choice((1, 1, 2, 4))):
        name = chance.choice((*fields, "typed_at", "more", "", "sender", "message"))
        do = chance.random()
        if do < 0.25:
            fields.pop(name, None)
        elif do < 0.45:
            fields[name] = chance.choice(_TIMES)
        elif do < 0.6:
            fields[name] = chance.choice(_KINDS)
        else:
            fields[name] = chance.choice((*_ODD, *_TEXTS, f"o{chance.randrange(10**6)}-{chance.randbytes(8).hex()}"))
    return fields


def _dumped(chance: random.Random, fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, ensure_ascii=chance.random() < 0.5, indent=chance.choice((None, None, 1)))
    return text.encode("utf-8", chance.choice(("surrogatepass", "replace")))


def _mangled(chance: random.Random, event: bytes) -> bytes:
    data = bytearray(event)
    for _ in range(chance.randint(1, 4)):
        if not data:
            break
        at = chance.randrange(len(data))
        do = chance.random()
        if do < 0.4:
            data[at] = chance.randrange(256)
        elif do < 0.7:
            del data[at : at + chance.randint(1, 9)]
        else:
            data[at:at] = chance.choice((b'"', b"{", b"}", b"\\u0000", b"\xff", b"\x1b[5n", b',"message":"x"', b"\n"))
    return bytes(data)


def _strange(chance: random.Random, number: int) -> bytes:
    kind = number % 6
    if kind == 0:
        return b"[" * chance.choice((10, 2000, 50_000))
    if kind == 1:
        return b'{"a":' * 3000 + b"1" + b"}" * 3000
    if kind == 2:  # longer than we would ever write
        return json.dumps({"sender": "tim", "message": chance.choice("xä日") * chance.choice((9000, 30_000))}).encode()
    if kind == 3:
        return b'\xef\xbb\xbf{"sender": "bom", "message": "hi"}'
    if kind == 4:
        return b'{"sender":"two","sender":"keys","message":"a","message":"b","id":' + b"9" * 5000 + b"}"
    return json.dumps({"sender": "n" * 5000, "message": "long name", "room": "r" * 5000, "id": "i" * 5000}).encode()


def readable(datas: list[bytes]) -> list[Message | Unreadable]:
    """What a history must hold of a log of these events: each message once, where it stood first."""
    found: dict[bytes, Message] = {}
    at = 0
    for data in datas:
        content = decode(data, at)
        at += HEAD_BYTES + len(data)
        if not isinstance(content, Unreadable):
            found.setdefault(dedup_key(content), content)
    return list(found.values())


@dataclass
class Fuzzed:
    """What came of it."""

    events: int = 0
    readable: int = 0
    messages: int = 0  # of the readable ones, each counted once
    seconds: float = 0.0


class Mill:
    """All that an event passes between the read worker's pipe and the screen."""

    def __init__(self, folder: Path) -> None:
        self._history = History.open(folder)
        self._cursor = Cursor("fuzz", {PLACE: 0})
        self._history.begin(self._cursor)
        self._rows = sqlite3.connect(self._history.path)
        self._state = Timeline()
        self._state.open(another=False)
        self._state.caught_up()
        self._style = MessageStyle("tim", colour=False, zone=timezone.utc)
        self._clocks = SkewDetector()
        self._at = self._number = 0
        self._known: set[bytes] = set()
        self.fuzzed = Fuzzed()

    def take(self, datas: list[bytes]) -> None:
        """Take a batch in; raises AssertionError when anything is lost, doubled, or drawn as it must not be."""
        batch: list[DecodedEvent] = []
        for data in datas:
            end = self._at + HEAD_BYTES + len(data)
            batch.append(DecodedEvent(self._at, end, data, decode(data, self._at)))
            self._at = end
        keys = [dedup_key(event.content) for event in batch]
        wanted: list[Message] = []
        for event, key in zip(batch, keys, strict=True):
            if not isinstance(event.content, Unreadable):
                self.fuzzed.readable += 1
                if key not in self._known:
                    self._known.add(key)
                    wanted.append(event.content)
        fresh = self._history.store(PLACE, batch, self._cursor, keys)
        self._cursor = self._cursor.after(PLACE, batch[-1])
        arrived = [Arrived(event.content, new) for event, new in zip(batch, fresh, strict=True)]
        shown = self._state.take(arrived).messages
        assert shown == wanted, "shown is something else than what is new"
        assert self._stored() == wanted, "stored is something else than what is new"
        now = datetime(2026, 11, 22, tzinfo=timezone.utc)
        for message, off in zip(shown, self._clocks.judge(shown, now), strict=True):
            check_drawn(self._style.message(message, off))
        self.fuzzed.events += len(batch)
        self.fuzzed.messages += len(wanted)

    def _stored(self) -> list[Message | Unreadable]:
        """What the last batch has added to the file."""
        query = "SELECT number, offset, event FROM message WHERE number > ? ORDER BY number"
        rows = self._rows.execute(query, (self._number,)).fetchall()
        self._number = rows[-1][0] if rows else self._number
        return [decode(event, offset) for _, offset, event in rows]

    def close(self) -> None:
        """Nothing in the file is damaged."""
        assert self._history.whole()
        self._rows.close()
        self._history.close()


def check_drawn(text: str) -> None:
    """Nothing in ``text`` moves the cursor, rings, colours or hides: it is lines of visible characters."""
    for character in text:
        assert character not in BIDI, f"{character!r} would turn the line around in {text!r}"
        if character != "\n" and unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise AssertionError(f"{character!r} would reach the terminal in {text!r}")


def fuzz(seed: int, count: int, folder: Path) -> Fuzzed:
    """Send ``count`` events through the mill."""
    begun = time.monotonic()
    mill = Mill(folder)
    batch: list[bytes] = []
    for event in events(seed, count):
        batch.append(event)
        if len(batch) == BATCH:
            mill.take(batch)
            batch = []
    if batch:
        mill.take(batch)
    mill.close()
    mill.fuzzed.seconds = time.monotonic() - begun
    return mill.fuzzed
