"""From Enter to the other screen, beside the raw client from write to read in the same run; from a key to its echo."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from bench.raw import AHEAD, TEXT, Reader, Writer
from bench.testbed import NUMBER, Terminal, Testbed, listen_to, new_stream

EVERY = 0.02  # 50 messages a second
BLOCK = 250  # messages, 5 s
WARM = 50
LATEST = 30.0  # seconds after the last message
# Keys that stand in no escape sequence and no message. Two rows of them by turns: a key is drawn anew for sure when
# another one stood in its place before, even if both changes are drawn at once.
KEYS = ("#%&{!", "~^$|}")
KEY_EVERY = 0.06
CLEAR = "\x15"  # Ctrl-U


def enter_to_screen(testbed: Testbed, blocks: int, clients: Sequence[str]) -> dict[str, list[float]]:
    """Milliseconds of a chat through each client and of the raw client.

    They are measured in blocks by turns, so that what disturbs the machine meets all.
    """
    raw_stream = new_stream("raw")
    found: dict[str, list[float]] = {name: [] for name in (*clients, "raw")}
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(Writer(testbed.url, raw_stream, testbed.env))
        reader = stack.enter_context(Reader(testbed.url, raw_stream, testbed.env))
        pairs = {client: _pair(testbed, client, stack) for client in clients}
        for block in range(blocks + 1):
            count = BLOCK if block else WARM
            took = {client: chat_block(*pair, count, block * BLOCK) for client, pair in pairs.items()}
            writer.begin(count, EVERY)
            took["raw"] = reader.latencies(count)
            writer.done()
            if block:
                for name, times in took.items():
                    found[name] += times
    return found


def _pair(testbed: Testbed, client: str, stack: contextlib.ExitStack) -> tuple[Terminal, Terminal]:
    """Two people in a chat of their own."""
    stream = new_stream("chat")
    tim = stack.enter_context(testbed.terminal("tim", stream, client=client)).connected("first")
    alex = stack.enter_context(testbed.terminal("alex", stream, client=client)).connected("second")
    return tim, alex


def chat_block(tim: Terminal, alex: Terminal, count: int, first: int) -> list[float]:
    """Tim types a line, and presses Enter half an interval later; that is when the clock starts."""
    entered: list[int] = []
    seen: dict[int, int] = {}
    start = time.monotonic() + AHEAD
    step = 0  # even: type, odd: Enter

    def type_what_is_due() -> float:
        nonlocal step
        while step < 2 * count and (left := start + step * EVERY / 2 - time.monotonic()) <= 0:
            if step % 2:
                entered.append(tim.press("\r"))
            else:
                tim.press(f"m{first + step // 2:06}. {TEXT}")
            step += 1
        return left if step < 2 * count else 0.5

    def heard(text: bytes, now: int) -> None:
        for number in map(int, NUMBER.findall(text)):
            if first <= number < first + count:  # a screen that is far may still show what was typed before
                seen.setdefault(number, now)

    alex.heard = heard
    tim.forget()
    listen_to([tim, alex], lambda: len(seen) == count, count * EVERY + LATEST, "every message", type_what_is_due)
    alex.forget()
    return [(seen[first + number] - at) / 1e6 for number, at in enumerate(entered)]


def key_to_echo(testbed: Testbed, keys: int) -> dict[str, list[float]]:
    """Milliseconds from a key to its echo, on a quiet screen and while 50 messages a second arrive."""
    stream = new_stream("echo")
    with testbed.terminal("tim", stream) as tim, Writer(testbed.url, stream, testbed.env) as writer:
        tim.connected("first")
        quiet = _echoes(tim, keys)
        writer.begin(int(keys * 2 * KEY_EVERY / EVERY), EVERY)
        busy = _echoes(tim, keys)
    return {"quiet": quiet, "busy": busy}


def _echoes(tim: Terminal, count: int) -> list[float]:
    took = []
    for number in range(count):
        row, place = divmod(number, len(KEYS[0]))
        if place == 0:
            tim.press(CLEAR)
            _pass(tim, KEY_EVERY / 2)
        tim.forget()
        key = KEYS[row % 2][place]
        pressed = tim.press(key)
        took.append((tim.until(key.encode()) - pressed) / 1e6)
        _pass(tim, KEY_EVERY)
    return took


def _pass(tim: Terminal, seconds: float) -> None:
    end = time.monotonic() + seconds
    listen_to([tim], lambda: time.monotonic() >= end, LATEST, "a pause", lambda: end - time.monotonic())
