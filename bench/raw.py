"""The raw client, which streamcli is held against: a writer and a reader, each a plain program in a process of its own.

Run as a program this module obeys lines of JSON on standard input; :class:`Writer` and :class:`Reader` are the bench's
side of that. Both do what Pravega's client is quickest at: one event written and flushed at once, and a group's slices
taken asynchronously. The clock is the monotonic one, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

SCOPE = "scope"
AHEAD = 0.05  # seconds between an order and the first event


class _Program:
    """One process of this module."""

    def __init__(self, role: str, url: str, stream: str, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, role, url, stream],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            text=True,
        )
        self._answer()  # it is ready

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _tell(self, **order: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the raw client died")
        return json.loads(line)


class Writer(_Program):
    """Writes events, at a pace or as many as it can. Makes the stream, with one segment, if it is not there."""

    def __init__(self, url: str, stream: str, env: dict[str, str]) -> None:
        super().__init__("writer", url, stream, env)

    def begin(self, count: int, every: float) -> None:
        """Begin to write ``count`` events, one each ``every`` seconds."""
        self._tell(count=count, every=every)

    def done(self) -> None:
        """Wait until what was begun is in the log."""
        self._answer()

    def fill(self, count: int) -> None:
        """Write ``count`` messages as fast as the client can; all are in the log when this returns."""
        self._tell(count=count, every=0)
        self._answer()


class Reader(_Program):
    """Reads from the tail; has to be made when the stream is there."""

    def __init__(self, url: str, stream: str, env: dict[str, str]) -> None:
        super().__init__("reader", url, stream, env)

    def latencies(self, count: int) -> list[float]:
        """Milliseconds from write to read of the next ``count`` events."""
        return [float(self._answer()) for _ in range(count)]


def event(number: int, text: str) -> bytes:
    """A message as streamcli writes it, about 230 bytes; ``text`` begins with its number, and it knows its time."""
    now = time.monotonic_ns()
    fields = {
        "sender": f"user{number % 20}",
        "message": f"m{number:06}. {text}",
        "id": f"{number:012x}{now:020x}",
        "kind": "chat",
        "room": "lobby",
        "sent_at": "2026-01-02T03:04:05.678Z",
        "v": 1,
        "ns": now,
    }
    return json.dumps(fields).encode()


TEXT = "so much for that, shall we go on tomorrow?"


def _write(client: Any, url: str, stream: str, answers: Any) -> None:
    manager = client.StreamManager(url)
    manager.create_scope(SCOPE)
    manager.create_stream(SCOPE, stream, 1)
    writer = manager.create_writer(SCOPE, stream, 1000)
    number = 0
    print("true", file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        start = time.monotonic() + AHEAD
        for step in range(order["count"]):
            if order["every"]:
                time.sleep(max(0.0, start + step * order["every"] - time.monotonic()))
            writer.write_event_bytes(event(number, TEXT), "lobby")
            if order["every"]:
                writer.flush()
            number += 1
        writer.flush()
        print("true", file=answers, flush=True)


async def _read(client: Any, url: str, stream: str, answers: Any) -> None:
    manager = client.StreamManager(url)
    reader = manager.create_reader_group(f"bench-{os.getpid()}", SCOPE, stream, True).create_reader("main")
    print("true", file=answers, flush=True)
    while True:
        segment_slice = await reader.get_segment_slice_async()
        events = []
        for one in segment_slice:
            events.append((bytes(one.data()), time.monotonic_ns()))
        reader.release_segment(segment_slice)
        for data, now in events:
            print((now - json.loads(data)["ns"]) / 1e6, file=answers, flush=True)


def main(role: str, url: str, stream: str) -> None:
    """Obey until killed."""
    os.environ["RUST_LOG"] = "off"
    import pravega_client

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints is no answer
    if role == "writer":
        _write(pravega_client, url, stream, answers)
    else:
        asyncio.run(_read(pravega_client, url, stream, answers))
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
