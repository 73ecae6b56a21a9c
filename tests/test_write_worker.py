"""The wheel's write worker, on a library that is played by the test."""

from __future__ import annotations

import os

import pytest

from streamcli.log.frames import Frame, Splitter
from streamcli.log.wheel import write_worker
from streamcli.log.wheel.worker import Output
from streamcli.log.write_request import WriteRequest
from streamcli.model.address import Controller


class Library:
    """A manager whose controller answers; its segment store does if ``alive``."""

    def __init__(self, alive: bool) -> None:
        self._alive = alive

    def create_writer(self, scope: str, stream: str, in_flight: int) -> None:
        """A writer connects only when it writes."""

    def create_byte_stream(self, scope: str, stream: str) -> Library:
        return self

    def current_tail_offset(self) -> int:
        if not self._alive:
            raise ConnectionError("nobody is there")
        return 0


class Frames(Output):
    """Keeps what a worker says."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def send(self, frame: bytes) -> None:
        self.frames += [one.kind for one in Splitter().feed(frame)]


def work(monkeypatch: pytest.MonkeyPatch, alive: bool) -> Frames:
    """Let the worker work until its parent closes the pipe."""
    parent, pipe = os.pipe()
    os.close(pipe)
    monkeypatch.setattr(write_worker, "connect", lambda controller: (None, Library(alive)))
    monkeypatch.setattr(write_worker, "open_stream", lambda *arguments: "log")
    monkeypatch.setattr(write_worker, "PARENT", parent)
    output = Frames()
    try:
        write_worker.work(WriteRequest("scope", "stream"), Controller("127.0.0.1", 1), output)
    finally:
        os.close(parent)
    return output


def test_the_log_is_open_when_controller_and_segment_store_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert work(monkeypatch, alive=True).frames == [Frame.OPENED]


def test_while_only_the_controller_answers_the_log_is_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionError):
        work(monkeypatch, alive=False)
