"""A worker without a server, ``python -m tests.fake_worker``: it does what its request says under ``do``."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass

from streamcli.log.frames import Frame, Received, Splitter, pack, pack_count, pack_json, unpack_json


@dataclass(frozen=True)
class FakeRequest:
    do: str
    text: str = ""
    seconds: float = 0.0


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    splitter = Splitter()
    frames: list[Received] = []
    while not frames:
        frames = splitter.feed(os.read(0, 1 << 16))
    request = FakeRequest(**unpack_json(frames[0].payload)["request"])
    do = request.do
    if do == "complain":
        sys.stderr.write(request.text)
        return
    if do == "die":
        return
    if do == "fail":
        say(pack_json(Frame.FAILED, kind="other", text="no luck"))
        return
    if do == "nonsense":
        say(b"\xff" * 100)
        return
    if do == "open slowly":
        time.sleep(request.seconds)
    say(pack_json(Frame.OPENED, log=""))
    if do == "beat":
        while True:
            say(pack(Frame.IDLE))
            time.sleep(0.05)
    if do == "read late":
        signal.sigwait({signal.SIGUSR1})
    while piece := os.read(0, 1 << 20):
        for received in splitter.feed(piece):
            say(pack_count(Frame.WRITTEN, len(received.payload)))


def say(frame: bytes) -> None:
    try:
        os.write(1, frame)
    except BrokenPipeError:
        sys.exit()


if __name__ == "__main__":
    main()
