"""A signal reaches the loop also when its threads have filled the socket by which they wake it up."""

from __future__ import annotations

import subprocess
import sys

FLOODED = """
import asyncio, os, signal
from streamcli.system.signals import on_signal

async def main():
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        on_signal(number, heard.set)
    on_signal(signal.SIGHUP, lambda: None)
    for _ in range(100_000):
        loop.call_soon_threadsafe(int)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(heard.wait(), 10)
    heard.clear()
    loop.call_later(0.1, os.kill, os.getpid(), signal.SIGINT)  # while it waits
    await asyncio.wait_for(heard.wait(), 10)
    print("heard")

asyncio.run(main())
"""


def test_a_signal_is_heard_when_the_loop_is_flooded() -> None:
    done = subprocess.run([sys.executable, "-c", FLOODED], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("heard\n", "")
