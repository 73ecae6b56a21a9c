"""Guests through the gate, beside chats that reach the server directly, in the same run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from bench.delay import delayed
from bench.latency import BLOCK, WARM, chat_block
from bench.load import MIB, SETTLE, leave_alone, memory
from bench.raw import TEXT, Writer
from bench.testbed import Terminal, Testbed, new_stream
from streamcli.log.api import Event, ReadMode
from streamcli.log.gate.adapter import GateLog
from streamcli.model.cursor import Cursor, LogOpened
from streamcli.model.joined_chat import JoinedChat
from tests.environment import STREAMCLI, make_home
from tests.fake_controller import until
from tests.sharing import free_port

FAR = 0.025  # seconds one way: a round trip of 50 ms
MANY = 20  # guests
MANY_RATE = 20.0  # messages a second of all of them together
MANY_FOR = 15.0  # seconds
_JOIN = re.compile(r"streamcli join (\S+)")


class Host:
    """The owner of the bench's server, with a gate for one stream."""

    def __init__(self, testbed: Testbed) -> None:
        self.testbed, self.stream, self.port = testbed, new_stream("guests"), free_port()
        self.env = testbed.on(self.stream)

    def joined(self, name: str, port: int) -> dict[str, str]:
        """The environment of a new guest, who reaches the gate at ``port`` of loopback only."""
        said = self._run(self.env, "invite", name, "--id", "tim", "--port", str(self.port))
        (line,) = _JOIN.findall(said)
        env = make_home(Path(self.env["HOME"]) / f"guest-{name}")
        self._run(env, "join", line, "--at", f"127.0.0.1:{port}")
        (saved,) = Path(env["HOME"]).rglob("joined.json")
        fields = json.loads(saved.read_text())
        saved.write_text(json.dumps(fields | {"places": [["127.0.0.1", port]]}))
        return env

    def chat_of(self, name: str, env: dict[str, str]) -> JoinedChat:
        """A guest's chat, for who speaks through the adapter alone."""
        (saved,) = Path(env["HOME"]).rglob("joined.json")
        fields = json.loads(saved.read_text())
        places = tuple((host, port) for host, port in fields["places"])
        return JoinedChat("tim", name, saved.parent, places, fields["pin"], fields["stream"])

    def gate_memory(self) -> float:
        """MiB of the gate and its workers."""
        (state,) = Path(self.env["HOME"]).rglob("gate/state.json")
        gate = psutil.Process(json.loads(state.read_text())["pid"])
        return float(sum(one.memory_info().rss for one in (gate, *gate.children(recursive=True))) / MIB)

    def end(self, *names: str) -> None:
        """Close the gate."""
        for name in names:
            self._run(self.env, "uninvite", name)

    @staticmethod
    def _run(env: dict[str, str], *words: str) -> str:
        done = subprocess.run(
            [*STREAMCLI, *words], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def guest_terminal(name: str, env: dict[str, str]) -> Iterator[Terminal]:
    """A guest's chat in a terminal."""
    terminal = Terminal(name, "tim", env)
    try:
        yield terminal
    finally:
        terminal.end()


def measure(testbed: Testbed, blocks: int, messages: int, runs: int) -> dict[str, Any]:
    """Milliseconds from Enter to the other screen, near and far; starts; a catch-up; many guests; memory."""
    host = Host(testbed)
    near = {name: host.joined(name, host.port) for name in ("near1", "near2")}
    with delayed(host.port, FAR) as far_port:
        far = host.joined("far", far_port)
        found: dict[str, Any] = _latencies(host, near, far, blocks)
        found["start near"] = [_start(host, "near1", near["near1"]) for _ in range(3 * runs)]
        found["start far"] = [_start(host, "far", far) for _ in range(3 * runs)]
        found |= _catch_up(host, messages, runs)
    found["many"] = _many(host)
    found["gate with many"] = host.gate_memory()
    return found


def _latencies(host: Host, near: dict[str, dict[str, str]], far: dict[str, str], blocks: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        tim = stack.enter_context(host.testbed.terminal("tim", host.stream)).connected("first")
        ann = stack.enter_context(host.testbed.terminal("ann", host.stream)).connected("second")
        near1 = stack.enter_context(guest_terminal("near1", near["near1"])).connected("third")
        near2 = stack.enter_context(guest_terminal("near2", near["near2"])).connected("fourth")
        away = stack.enter_context(guest_terminal("far", far)).connected("fifth")
        pairs = {
            "direct to direct": (tim, ann),
            "owner to guest": (tim, near1),
            "guest to owner": (near1, tim),
            "guest to guest": (near1, near2),
            "owner to far guest": (tim, away),
            "far guest to owner": (away, tim),
        }
        found |= {name: [] for name in pairs}
        number = 0
        for block in range(blocks + 1):
            for name, (one, other) in pairs.items():
                took = chat_block(one, other, BLOCK if block else WARM, number)
                number += BLOCK
                if block:
                    found[name] += took
        leave_alone(near1, SETTLE)
        found["guest rss"] = memory(near1)["rss"]
        found["gate rss"] = host.gate_memory()
    return found


def _start(host: Host, name: str, env: dict[str, str]) -> float:
    with guest_terminal(name, env) as terminal:
        at = terminal.until(b"ed to the chat tim")  # "connect" already stands there
        return (at - terminal.began) / 1e9


def _catch_up(host: Host, messages: int, runs: int) -> dict[str, Any]:
    with Writer(host.testbed.url, host.stream, host.env) as writer:
        writer.fill(messages)
    mark = f": m{messages - 1:06}. ".encode()
    found: dict[str, list[float]] = {"catch-up guest": [], "catch-up direct": []}
    for run in range(runs):
        name = f"new{run}"
        env = host.joined(name, host.port)
        with guest_terminal(name, env) as terminal:
            found["catch-up guest"].append((terminal.until(mark) - terminal.began) / 1e9)
        with host.testbed.terminal(f"direct{run}", host.stream) as terminal:
            found["catch-up direct"].append((terminal.until(mark) - terminal.began) / 1e9)
    return found


def _many(host: Host) -> list[float]:
    """Milliseconds from one guest's append to its arrival at each of many, without screens, in one process."""
    chats = []
    for number in range(MANY):
        name = f"many{number}"
        chats.append(host.chat_of(name, host.joined(name, host.port)))
    return asyncio.run(_talking(chats))


async def _talking(chats: list[JoinedChat]) -> list[float]:
    took: list[float] = []
    sent: dict[bytes, float] = {}
    people = [_Silent(chat, sent, took) for chat in chats]
    running = [asyncio.create_task(person.log.run()) for person in people]
    await until(lambda: all(person.live and person.connection.is_open for person in people))
    count = int(MANY_FOR * MANY_RATE)
    begun = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, begun + number / MANY_RATE - time.monotonic()))
        people[number % len(people)].says(number)
    await until(lambda: len(took) >= count * len(people))
    for person in people:
        person.log.kill()
    await asyncio.gather(*running)
    return took


class _Silent:
    """A guest without a screen (implements both listeners of streamcli.log.api)."""

    def __init__(self, chat: JoinedChat, sent: dict[bytes, float], took: list[float]) -> None:
        self._chat, self._sent, self._took = chat, sent, took
        self._loop = asyncio.get_running_loop()
        self._cursor = Cursor()
        self.live = False
        self.log = GateLog(chat, lambda status: None)
        self.log.read(self, ReadMode.FOLLOW)
        self.connection = self.log.append_for(_Appends())

    def says(self, number: int) -> None:
        event = {"sender": self._chat.guest, "message": f"{number} {TEXT}", "kind": "chat", "id": f"{number:032x}"}
        data = json.dumps(event).encode()
        self._sent[data] = time.monotonic()
        self.connection.append("lobby", [data])

    def cursor(self) -> Cursor:
        return self._cursor

    def connected(self, opened: LogOpened) -> None:
        self._cursor = self._cursor.opened_at(opened)

    def opened(self, opened: LogOpened) -> None:
        pass

    def events(self, segment: str, batch: list[Event], taken: Callable[[], None]) -> None:
        now = time.monotonic()
        self._took += [(now - self._sent[event.data]) * 1e3 for event in batch if event.data in self._sent]
        self._cursor = self._cursor.after(segment, batch[-1])
        self._loop.call_soon_threadsafe(taken)

    def caught_up(self) -> None:
        self.live = True

    def stuck(self, passable: bool) -> None:
        pass

    def ended(self) -> None:
        pass

    def due_since(self, last_sign: float) -> float | None:
        return None


class _Appends:
    def opened(self, log: str) -> None:
        pass

    def acknowledged(self, count: int) -> None:
        pass

    def refused(self) -> None:
        pass

    def rejected(self, words: str) -> None:
        raise AssertionError(words)

    def stream_gone(self) -> None:
        pass

    def due_since(self, last_sign: float) -> float | None:
        return None
