"""Much at once and nothing at all: bursts, catching up, starting, memory and idle CPU."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

import psutil

from bench.raw import TEXT, Writer
from bench.testbed import Terminal, Testbed, listen_to, new_stream, processes_of
from tests.environment import STREAMCLI

SETTLE = 3.0  # seconds after which a chat that is left alone counts as idle
MIB = 1 << 20
WARM = 20_000  # messages after which a chat has what it needs once
PART = 100_000  # messages that are waited for at once


def send(testbed: Testbed, lines: int, runs: int) -> dict[str, list[float]]:
    """Seconds that ``send`` takes for one line, and for many at once, from command to end."""
    env = testbed.on(new_stream("send"))
    one = [_send(testbed.url, env, 1) for _ in range(runs + 1)][1:]  # the first one makes the stream
    return {"one": one, "many": [_send(testbed.url, env, lines) for _ in range(runs)]}


def _send(url: str, env: dict[str, str], lines: int) -> float:
    text = "".join(f"m{number:06}. {TEXT}\n" for number in range(lines)).encode()
    began = time.monotonic()
    subprocess.run([*STREAMCLI, "send", "--url", url], input=text, env=env, check=True, timeout=120)
    return time.monotonic() - began


def start_to_prompt(testbed: Testbed, runs: int, embedded: bool) -> list[float]:
    """Seconds from the command to the prompt, the server being up."""
    stream = new_stream("start")
    took = []
    for _ in range(runs + 1):
        with testbed.terminal("tim", stream, embedded) as tim:
            took.append((tim.until(b"tim>") - tim.began) / 1e9)
    return took[1:]  # the first one finds cold files


def start_to_connected(testbed: Testbed, runs: int, clients: Sequence[str]) -> dict[str, list[float]]:
    """Seconds from the command until a line typed at once has been to the log and back, through each client."""
    stream = new_stream("connected")
    took: dict[str, list[float]] = {client: [] for client in clients}
    for run in range(runs + 1):
        for client in clients:
            with testbed.terminal("tim", stream, client=client) as tim:
                tim.connected(f"token-{client}-{run}")
                took[client].append((time.monotonic_ns() - tim.began) / 1e9)
    return {client: times[1:] for client, times in took.items()}  # the first one makes the stream


def catch_up(testbed: Testbed, messages: int, runs: int, clients: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Seconds from the command of somebody new to the prompt, and until the last of ``messages`` is on the screen.

    And what the chat's processes then hold in memory, in MiB. For each client, by turns.
    """
    stream = new_stream("past")
    with Writer(testbed.url, stream, testbed.env) as writer:
        writer.fill(messages)
    found: dict[str, dict[str, list[float]]]
    found = {client: {"prompt": [], "all": [], "rss": [], "pss": []} for client in clients}
    for run in range(runs):
        for client in clients:
            name, own = f"{client}{run}", found[client]
            with testbed.terminal(name, stream, client=client) as new:
                own["prompt"].append((new.until(f"{name}>".encode()) - new.began) / 1e9)
                own["all"].append((new.until(f": m{messages - 1:06}. ".encode()) - new.began) / 1e9)
                leave_alone(new, SETTLE)
                for kind, size in memory(new).items():
                    own[kind].append(size)
    return found


def growth(testbed: Testbed, messages: int) -> dict[str, float]:
    """By how many MiB the prompt's process grows while ``messages`` arrive in one run, and how many it has then."""
    stream = new_stream("growth")
    with Writer(testbed.url, stream, testbed.env) as writer, testbed.terminal("tim", stream) as tim:
        tim.connected("first")
        writer.fill(WARM)
        written, before = WARM, _prompt_memory_after(tim, WARM)
        while (left := WARM + messages - written) > 0:
            writer.fill(min(left, PART))
            written += min(left, PART)
            after = _prompt_memory_after(tim, written)
    return {"messages": messages, "grown": after - before, "rss": after}


def _prompt_memory_after(tim: Terminal, written: int) -> float:
    tim.until(f": m{written - 1:06}. ".encode())
    leave_alone(tim, SETTLE)
    return processes_of(tim.pid)["prompt"].memory_info().rss / MIB


def idle(testbed: Testbed, seconds: float, client: str) -> dict[str, float]:
    """CPU (%) and memory (MiB) of a connected chat in which nothing happens, and the server's memory."""
    with testbed.terminal("tim", new_stream("idle"), client=client) as tim:
        tim.connected("first")
        leave_alone(tim, SETTLE)
        before, began = cpu_seconds(tim), time.monotonic()
        leave_alone(tim, seconds)
        used, took = {name: at - before[name] for name, at in cpu_seconds(tim).items()}, time.monotonic() - began
        server = psutil.Process(testbed.server_pid).memory_info().rss / MIB
        shares = {f"cpu {name}": 100 * share / took for name, share in used.items()}
        return {"cpu": 100 * sum(used.values()) / took, **shares, **memory(tim), "server rss": server}


def cpu_seconds(terminal: Terminal) -> dict[str, float]:
    """What each process has used, in user and system mode."""
    found = {}
    for name, process in processes_of(terminal.pid).items():
        times = process.cpu_times()
        found[name] = times.user + times.system
    return found


def memory(terminal: Terminal) -> dict[str, float]:
    """Resident memory of a chat's processes together, and where it can be had (Linux) with shared pages shared out."""
    found = {"rss": 0.0, "pss": 0.0}
    for process in processes_of(terminal.pid).values():
        full = process.memory_full_info()
        found["rss"] += full.rss / MIB
        found["pss"] += getattr(full, "pss", full.rss) / MIB
    return found


def leave_alone(terminal: Terminal, seconds: float) -> None:
    """Only listen to a terminal for some time."""
    end = time.monotonic() + seconds
    listen_to([terminal], lambda: time.monotonic() >= end, seconds + 10, "a pause")
