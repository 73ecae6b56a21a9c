"""The probe, on controllers that are none: who is told from whom. tests/test_secured.py asks real ones."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from streamcli.log.probe import Answer, probe
from streamcli.model.address import Controller, Stream
from tests.fake_controller import HANG, NO, SETTINGS, YES, FakeController, run


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("says", "answer"),
    [
        (YES, Answer.WELL),
        (YES + b"more", Answer.WELL),
        (NO, Answer.NO_ACCOUNT),
        (SETTINGS, Answer.SILENT),
        (SETTINGS + b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x", Answer.STRANGER),  # data on stream 0
        (None, Answer.SILENT),
        (b"", Answer.SILENT),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Answer.STRANGER),
        (b"SSH", Answer.STRANGER),
    ],
)
def test_the_probe_tells_a_controller_from_others(says: bytes | None, answer: Answer) -> None:
    async def main() -> None:
        async with FakeController(says).listening() as controller:
            assert await probe(controller, Stream(), 0.3 if says is None else HANG) is answer

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_probe_finds_nobody(host: str) -> None:
    async def main() -> None:
        assert await probe(Controller(host, free_port()), Stream(), HANG) is Answer.REFUSED

    run(main())


def test_the_probe_tries_all_addresses_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: two)

    async def main() -> None:
        async with FakeController(YES).listening() as controller:
            assert await probe(Controller("two.example", controller.port), Stream(), HANG) is Answer.WELL

    run(main())


def test_an_unknown_host_and_a_name_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **more: object) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    run(_asserted(Controller("nobody.example", 1), HANG, Answer.UNKNOWN_HOST))
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: answered.wait(HANG) and None)
    begun = time.monotonic()
    run(_asserted(Controller("nobody.example", 1), 0.1, Answer.SILENT))  # the loop's end must not wait for it either
    assert time.monotonic() - begun < HANG / 2
    answered.set()


async def _asserted(controller: Controller, timeout: float, answer: Answer) -> None:
    assert await probe(controller, Stream(), timeout) is answer
