"""From Enter to the other screen, beside the raw client from write to read in the same run; from a key to its echo."""

from __future__ import annotations

import time

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


def enter_to_screen(testbed: Testbed, blocks: int) -> dict[str, list[float]]:
    """Milliseconds of chat and raw client, in blocks by turns, so that what disturbs the machine meets both."""
    chat_stream, raw_stream = new_stream("chat"), new_stream("raw")
    chat: list[float] = []
    raw: list[float] = []
    with (
        testbed.terminal("tim", chat_stream) as tim,
        Writer(testbed.url, raw_stream, testbed.env) as writer,
        Reader(testbed.url, raw_stream, testbed.env) as reader,
    ):
        tim.connected("first")
        with testbed.terminal("alex", chat_stream) as alex:
            alex.connected("second")
            for block in range(blocks + 1):
                count = BLOCK if block else WARM
                told = _chat_block(tim, alex, count, block * BLOCK)
                writer.begin(count, EVERY)
                read = reader.latencies(count)
                writer.done()
                if block:
                    chat += told
                    raw += read
    return {"chat": chat, "raw": raw}


def _chat_block(tim: Terminal, alex: Terminal, count: int, first: int) -> list[float]:
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
        for number in NUMBER.findall(text):
            seen.setdefault(int(number), now)

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
