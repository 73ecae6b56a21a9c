"""What the local history costs: a start from disk, storing, indexing, and searching a million messages."""

from __future__ import annotations

import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.raw import Writer
from bench.testbed import Testbed, new_stream
from streamcli.model.cursor import Cursor
from streamcli.model.event import DecodedEvent
from streamcli.model.message import Ids, decode, encode, make
from streamcli.storage.history import History
from streamcli.storage.word_index import WordIndex

HEAD = 8  # bytes before an event's data in the log
BATCH = 2000  # as the read worker brings them
VOCABULARY = 20_000
WORDS_EACH = 8
PLACE = "bench#0"
SHOWN = 21  # what /search asks for


def start_from_disk(testbed: Testbed, messages: int, runs: int) -> dict[str, list[float]]:
    """Seconds from the command of somebody who has read all of it until the last message is on the screen."""
    stream = new_stream("history")
    last = f": m{messages - 1:06}. ".encode()
    with Writer(testbed.url, stream, testbed.env) as writer:
        writer.fill(messages)
    with testbed.terminal("tim", stream) as tim:
        tim.until(last)
    took = []
    for _ in range(runs):
        with testbed.terminal("tim", stream) as tim:
            took.append((tim.until(last) - tim.began) / 1e9)
    return {"shown": took}


def search(messages: int, rounds: int) -> dict[str, list[float]]:
    """Seconds to store and to index each part of ``messages``, and milliseconds to search all of them."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 10))) for _ in range(VOCABULARY)]
    # As in language: the n-th most frequent word comes 1/n as often as the first (Zipf).
    weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(VOCABULARY)))
    found: dict[str, list[float]] = {"store": [], "index": [], "search": []}
    with tempfile.TemporaryDirectory(prefix="streamcli-bench-") as folder:
        with History.open(Path(folder)) as history:
            cursor = Cursor("bench", {PLACE: 0})
            history.begin(cursor)
            for batch in _talk(messages, words, weights, chance):
                began = time.perf_counter()
                history.store(PLACE, batch, cursor)
                cursor = cursor.after(PLACE, batch[-1])
                found["store"].append(len(batch) / (time.perf_counter() - began))
            path = history.path
        with WordIndex(path) as index:
            left, began = 1, time.perf_counter()
            while left:
                left = index.index_some()
            found["index"].append(messages / (time.perf_counter() - began))
            for _ in range(rounds):
                for asked in _questions(words, chance):
                    began = time.perf_counter()
                    index.search(asked, SHOWN)
                    found["search"].append((time.perf_counter() - began) * 1000)
    return found


def _talk(messages: int, words: list[str], weights: list[float], chance: random.Random) -> Iterator[list[DecodedEvent]]:
    numbers = iter(range(messages))
    ids = Ids(lambda: 1_700_000_000_000 + next(numbers), chance.randbytes)
    offset = 0
    for first in range(0, messages, BATCH):
        batch = []
        for _ in range(min(BATCH, messages - first)):
            text = " ".join(chance.choices(words, cum_weights=weights, k=WORDS_EACH))
            data = encode(make("chat", text, sender=f"person{chance.randrange(50)}", id=ids.next()))
            end = offset + HEAD + len(data)
            batch.append(DecodedEvent(offset, end, data, decode(data, offset)))
            offset = end
        yield batch


def _questions(words: list[str], chance: random.Random) -> Iterator[str]:
    """A dozen kinds: frequent and rare words, several together, beginnings of one letter and more, nothing, people."""
    for rank in (0, 10, 100, 1000, VOCABULARY - 1):
        yield words[rank]
    yield f"{words[0]} {words[1]}"
    yield f"{words[5]} {words[2000]} {words[50]}"
    yield words[chance.randrange(VOCABULARY)][:1]
    yield words[chance.randrange(VOCABULARY)][:2]
    yield words[chance.randrange(VOCABULARY)][:4]
    yield "nobodyeversaidthis"
    yield f"person{chance.randrange(50)} {words[3]}"
