"""kill -9 at many points, two processes at once, and disks that are full: what was said to be safe is safe."""

from __future__ import annotations

import random
import resource
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from streamcli.errors import FileTrouble, StreamcliError
from streamcli.storage.outbox import Outbox
from streamcli.storage.word_index import WordIndex
from tests.storage.events import PLACE, batches, message, talk
from tests.storage.processes import Process, Say
from tests.storage.reading import History

LOG = talk(6000)
TEXTS = [event.content for event in LOG]
KILLS = 12


def read_on(folder: Path, size: int) -> Sequence[bool]:
    """Read LOG from where the history stands to its end, as a terminal does."""
    fresh: list[bool] = []
    with History.open(folder) as history:
        history.begin(PLACE, history.progress.position)
        read = history.progress.position
        for batch in batches([event for event in LOG if event.offset >= read], size):
            fresh += history.store(batch, PLACE)
    return fresh


def test_a_history_whose_storing_is_killed_again_and_again_is_whole(tmp_path: Path) -> None:
    chance = random.Random(6)
    stood: list[int] = []
    for _ in range(KILLS):

        def store(say: Say) -> None:
            with History.open(tmp_path) as history:
                say(0)
                read = history.progress.position
                for batch in batches([event for event in LOG if event.offset >= read], 7):
                    history.begin(PLACE, batch[0].offset)
                    history.store(batch, PLACE)
                    say(batch[-1].end)

        with Process(store) as process:
            assert process.heard() == 0
            for _ in range(chance.randint(0, 20)):
                process.heard()
            process.kill(chance.random() * 0.003)
            said = max(process.all_heard(), default=0)
        with History.open(tmp_path) as history:
            position = history.progress.position
            below = [event for event in LOG if event.end <= position]
            assert position >= said, "what was committed survives the end of the process"
            assert history.last(10_000) == [event.content for event in below]
            assert history.whole()
            stood.append(position)
    assert stood == sorted(stood)
    assert len(set(stood)) > 1, "some were killed at work"
    assert read_on(tmp_path, 500) == [True] * len([event for event in LOG if event.offset >= stood[-1]])
    with History.open(tmp_path) as history:
        assert history.last(10_000) == TEXTS


def test_two_processes_that_store_at_the_same_time_make_one_history(tmp_path: Path) -> None:
    History.open(tmp_path).close()
    start = tmp_path / "start"

    def store(say: Say, size: int) -> None:
        with History.open(tmp_path) as history:
            say(1)
            while not start.exists():
                pass
            history.begin(PLACE, 0)
            for batch in batches(LOG, size):
                assert history.store(batch, PLACE) == [True] * len(batch), "each shows all: both began with nothing"

    with Process(partial(store, size=11)) as one, Process(partial(store, size=17)) as other:
        assert (one.heard(), other.heard()) == (1, 1)
        start.touch()
        assert (one.code(), other.code()) == (0, 0)
    with History.open(tmp_path) as history:
        assert history.last(10_000) == TEXTS
        assert history.progress.position == LOG[-1].end


def test_two_processes_that_index_at_the_same_time_make_one_index(tmp_path: Path) -> None:
    read_on(tmp_path, 1000)
    with History.open(tmp_path) as history:
        path = history.path

    def index(say: Say) -> None:
        with WordIndex(path) as words:
            while words.index_some(97):
                pass

    with Process(index) as one, Process(index) as other:
        assert (one.code(), other.code()) == (0, 0)
    with WordIndex(path) as words:
        assert words.index_some() == 0
        assert words.search("message", 10_000).messages == TEXTS[::-1]
        assert [found.message for found in words.search("4321").messages] == ["message 4321"]


def test_indexing_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    read_on(tmp_path, 1000)
    with History.open(tmp_path) as history:
        path = history.path
    chance = random.Random(7)
    left = [len(LOG)]
    for _ in range(6):

        def index(say: Say) -> None:
            with WordIndex(path) as words:
                say(0)
                while words.index_some(50):
                    say(0)

        with Process(index) as process:
            process.heard()
            process.kill(chance.random() * 0.03)
        with WordIndex(path) as words:
            left.append(words.search("message").behind)
    assert left == sorted(left, reverse=True)
    assert left[-1] < left[0]
    with WordIndex(path) as words:
        while words.index_some():
            pass
        assert words.search("message", 10_000).messages == TEXTS[::-1]


def test_what_the_outbox_took_on_survives_kill_9_in_order(tmp_path: Path) -> None:
    chance = random.Random(8)
    added = 0
    for _ in range(KILLS):

        def add(say: Say, first: int = added) -> None:
            with Outbox(tmp_path) as outbox:
                say(first)
                for number in range(first, first + 5000):
                    outbox.add([message(f"{number}", number)])
                    say(number + 1)

        with Process(add) as process:
            said = process.heard()
            process.kill(0.005 + chance.random() * 0.03)
            said = max([said, *process.all_heard()])
        with Outbox(tmp_path) as outbox:
            adopted = [entry.message.message for entry in outbox.adopt()]
            assert len(adopted) in (said, said + 1), "what add() returned from, and what it was at"
            assert adopted == [str(number) for number in range(len(adopted))]
            added = len(adopted)
    assert added > KILLS


def limited(folder: Path, fill: bool) -> str:
    """What a history says when its file may not grow any more, and what is left in it then."""
    with History.open(folder) as history:
        history.begin(PLACE, 0)
        history.store(LOG[:500], PLACE)
        if fill:
            pages = history._connection.execute("PRAGMA page_count").fetchone()[0]
            history._connection.execute(f"PRAGMA max_page_count={pages + 2}")
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        with pytest.raises(StreamcliError) as caught:
            for batch in batches(LOG[500:], 200):
                history.store(batch, PLACE)
        if not fill:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert isinstance(caught.value, FileTrouble)
        stored = history.count
        assert stored < len(LOG)
        assert history.progress.position == LOG[stored - 1].end, "what failed has changed nothing"
        if fill:
            history._connection.execute("PRAGMA max_page_count=1000000")
        rest = LOG[stored:]
        assert history.store(rest, PLACE) == [True] * len(rest), "with room again it goes on"
    with History.open(folder) as history:
        assert history.last(10_000) == TEXTS
        assert history.whole()
    return str(caught.value)


def test_a_full_file_is_said_and_costs_nothing_that_was_stored(tmp_path: Path) -> None:
    assert "The disk is full" in limited(tmp_path, fill=True)


def test_a_limit_of_the_system_is_said_and_costs_nothing_that_was_stored(tmp_path: Path) -> None:
    def work(say: Say) -> None:
        assert "Is the disk full" in limited(tmp_path, fill=False)

    with Process(work) as process:  # in a process of its own, as the limit is a process's
        assert process.code() == 0


def test_an_outbox_on_a_full_disk_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    def work(say: Say) -> None:
        with Outbox(tmp_path) as outbox:
            outbox.add([message("safe", 0)])
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
            with pytest.raises(FileTrouble, match="Is the disk full"):
                outbox.add([message("x" * 50_000, number) for number in range(1, 9)])
            assert [entry.message.message for entry in outbox.waiting()] == ["safe"]
            outbox.sent([message("safe", 0).id])

    with Process(work) as process:
        assert process.code() == 0
