"""Whoever is no guest and calls the gate: gets nothing, costs little, and keeps no guest out."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcli.gate.certificates import GateKeys, new_guest_key
from streamcli.gate.gate import NO_GUEST
from streamcli.gate.port import USUAL_LIMITS, Limits, origin
from streamcli.log.frames import Frame
from tests.conftest import eventually
from tests.gate_running import GateThread
from tests.memory_stream import MemoryStream
from tests.raw_guest import HANG, HEAD, JOIN, LOG, OWNER, RawGuest, as_event, context_of, plain

PAST = [as_event("owner", number) for number in range(3)]
PRESSED = 1000  # connections
HELLO_BYTES = 60  # of a ClientHello, which is longer


@pytest.fixture
def memory() -> MemoryStream:
    stream = MemoryStream()
    stream.write(*PAST)
    return stream


@pytest.fixture
def gate(tmp_path: Path, memory: MemoryStream) -> Iterator[GateThread]:
    gate = GateThread(tmp_path, memory)
    with gate.running():
        yield gate


@pytest.fixture
def tim(gate: GateThread) -> Iterator[RawGuest]:
    """A guest who is connected meanwhile, and undisturbed."""
    with RawGuest(gate.port, gate.guest("tim").folder) as tim:
        assert [data for _, data in tim.starts(HEAD, write=True).past()] == PAST
        tim.may_write()
        yield tim
        tim.writes(as_event("tim", 99))
        assert tim.answers(1) == [""]
        assert tim.events(1) == [as_event("tim", 99)]


def said(connection: socket.socket) -> bytes:
    """All that comes until the end, however that comes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(1 << 16):
            found += piece
    return found


def let_in(gate: GateThread, name: str = "mara", source: str = "127.0.0.2") -> None:
    """A guest comes in from another address."""
    folder = gate.folder / f"guest-{name}"
    folder = folder if folder.exists() else gate.guest(name).folder
    with RawGuest(gate.port, folder, source=source) as mara:
        assert [data for _, data in mara.starts(HEAD).past()] == PAST


def client_hello() -> bytes:
    """What a client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context_of(None).wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


GARBAGE = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "zeros": bytes(1000),
    "ones": b"\xff" * 100_000,
    "a TLS record that announces 64 KiB": b"\x16\x03\x01\xff\xff" + bytes(10_000),
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "a ClientHello with an error": client_hello()[:HELLO_BYTES] + b"\xff" * 500,
}


@pytest.mark.parametrize("what", GARBAGE)
def test_who_speaks_no_tls_is_hung_up_on(gate: GateThread, tim: RawGuest, what: str) -> None:
    with plain(gate.port) as stranger:
        with contextlib.suppress(ConnectionError):
            stranger.sendall(GARBAGE[what])
        assert PAST[0] not in said(stranger)
    let_in(gate)


def test_who_says_nothing_or_half_of_it_has_five_seconds(gate: GateThread, tim: RawGuest) -> None:
    begun = time.monotonic()
    silent, half, dripping = (plain(gate.port) for _ in range(3))
    with silent, half, dripping, RawGuest(gate.port, None, JOIN) as joining:
        half.sendall(client_hello()[:HELLO_BYTES])
        joining.says(b'{"secret": ')
        for byte in client_hello()[:HELLO_BYTES]:
            with contextlib.suppress(ConnectionError):
                dripping.sendall(bytes([byte]))
            time.sleep(0.1)
        assert [said(one) for one in (silent, half, dripping)] == [b""] * 3
        assert joining.piece() == b""
    assert 4 < time.monotonic() - begun < HANG
    let_in(gate)


def refusal(gate: GateThread, folder: Path | None) -> str:
    """What somebody is told who wants to read and write."""
    with RawGuest(gate.port, folder) as stranger:
        frames = stranger.starts(HEAD, write=True).rest()
    assert [frame.kind for frame in frames] == [Frame.FAILED]
    assert frames[0].fields()["kind"] == "denied"
    return str(frames[0].fields()["text"])


def test_who_shows_no_certificate_is_told_that_they_are_no_guest(gate: GateThread, tim: RawGuest) -> None:
    assert refusal(gate, None) == NO_GUEST == "You are no longer a guest here."
    let_in(gate)


def test_a_guest_who_was_removed_is_told_so(gate: GateThread, tim: RawGuest) -> None:
    folder = gate.guest("mara").folder
    with RawGuest(gate.port, folder) as mara:
        mara.starts(HEAD).past()
        gate.guests.remove("mara")
        assert gate.gate
        gate.call(gate.gate.look)
        frames = mara.rest()
    assert [frame.fields().get("text") for frame in frames if frame.kind is Frame.FAILED] == [NO_GUEST]
    assert refusal(gate, folder) == NO_GUEST
    let_in(gate, "pia")


def test_a_guest_who_was_invited_anew_is_let_in_with_the_new_key_only(gate: GateThread, tim: RawGuest) -> None:
    old = gate.guest("mara").folder.rename(gate.folder / "old")
    with RawGuest(gate.port, old) as mara:
        mara.starts(HEAD).past()
        gate.guests.remove("mara")
        new = gate.guest("mara").folder
        assert mara.rest()[-1].kind is Frame.FAILED, "the same name, but another key"
    assert refusal(gate, old) == NO_GUEST
    assert new != old
    let_in(gate)


def is_cut_off(gate: GateThread, folder: Path, protocol: str | None = LOG) -> bool:
    """Whether who has these keys gets nothing at all."""
    try:
        with RawGuest(gate.port, folder, protocol) as stranger:
            return stranger.starts(HEAD, write=True).piece() == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_a_certificate_of_another_gate_is_worth_nothing(gate: GateThread, tim: RawGuest, tmp_path: Path) -> None:
    other = GateThread(tmp_path / "other", MemoryStream())
    folder = other.guest("tim").folder
    assert is_cut_off(gate, folder)
    let_in(gate)


def test_a_certificate_that_tim_made_is_worth_nothing(gate: GateThread, tim: RawGuest, tmp_path: Path) -> None:
    """It says that the gate has signed it."""
    key, public = new_guest_key()
    forger = GateKeys(tmp_path / "forger")
    forger.ensure()
    folder = gate.folder / "forged"
    folder.mkdir()
    (folder / "my.key").write_text(key)
    (folder / "my.crt").write_text(forger.sign("tim", public))
    (folder / "gate.crt").write_text(gate.keys.certificate.read_text())
    assert is_cut_off(gate, folder)


def test_the_owners_protocol_is_for_the_gates_own_key(gate: GateThread, tim: RawGuest) -> None:
    for folder in (None, gate.guest("mara").folder):
        with RawGuest(gate.port, folder, OWNER) as stranger:
            stranger.says(b"{}\n")
            assert stranger.piece() == b""
    owner = gate.folder / "owner"
    owner.mkdir()
    for name, source in (
        ("my.key", gate.keys.key),
        ("my.crt", gate.keys.certificate),
        ("gate.crt", gate.keys.certificate),
    ):
        (owner / name).write_bytes(source.read_bytes())
    with RawGuest(gate.port, owner, OWNER) as asking:
        asking.says(b"{}\n")
        assert json.loads(asking.piece())["here"] == {"tim": 1}


@pytest.mark.parametrize("protocol", ["http/1.1", "streamcli-log/2", None])
def test_another_protocol_is_not_spoken(gate: GateThread, tim: RawGuest, protocol: str | None) -> None:
    folder = gate.guest("mara").folder
    assert is_cut_off(gate, folder, protocol)
    assert not is_cut_off(gate, folder)
    let_in(gate)


def test_old_tls_is_not_spoken(gate: GateThread, tim: RawGuest) -> None:
    context = context_of(gate.guest("mara").folder, LOG)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with plain(gate.port) as connection, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(connection)
    let_in(gate)


REQUESTS: dict[str, bytes] = {
    "one megabyte in a line": b"x" * (1 << 20) + b"\n",
    "one megabyte without an end": b'{"secret": "' + b"0" * (1 << 20),
    "9 KB in a line": b'{"secret": "' + b"0" * 9000 + b'", "key": ""}\n',
    "no JSON": b"hello\n",
    "not UTF-8": b"\xff\xfe\n",
    "nothing": b"\n",
    "a list": b"[]\n",
    "a number": b"1\n",
    "nested JSON": b"[" * 8000 + b"\n",
    "nested objects": b'{"a":' * 1600 + b"\n",
}


@pytest.mark.parametrize("what", REQUESTS)
def test_who_asks_for_nothing_gets_no_answer(gate: GateThread, tim: RawGuest, what: str) -> None:
    with RawGuest(gate.port, None, JOIN) as stranger:
        stranger.says(REQUESTS[what])
        assert stranger.piece() == b""
    let_in(gate)


ASKED: dict[str, str] = {
    "{}": "This gate does not understand the request to join.",
    '{"secret": 1, "key": ""}': "This gate does not understand the request to join.",
    '{"secret": "xyz", "key": ""}': "This gate does not understand the request to join.",
    '{"secret": null, "key": null}': "This gate does not understand the request to join.",
    '{"secret": "", "key": ""}': "This invitation is used, expired or unknown. Ask for a new one.",
    '{"secret": "00112233445566778899aabbccddeeff", "key": []}': (
        "This invitation is used, expired or unknown. Ask for a new one."
    ),
}


@pytest.mark.parametrize("request_", ASKED)
def test_who_has_no_invitation_is_told_so(gate: GateThread, tim: RawGuest, request_: str) -> None:
    with RawGuest(gate.port, None, JOIN) as stranger:
        stranger.says(request_.encode() + b"\n")
        assert json.loads(stranger.piece()) == {"refused": ASKED[request_], "code": 77}
        assert stranger.piece() == b""
    let_in(gate)


# Many of them.


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has not ended it."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def opened(stack: contextlib.ExitStack, port: int, count: int, *sources: str) -> list[socket.socket]:
    """So many connections on which nothing is said."""
    found = []
    for number in range(count):
        found.append(stack.enter_context(plain(port, sources[number % len(sources)])))
        # With an end that waits for nothing, no port of loopback's is used up.
        found[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return found


@pytest.mark.parametrize("addresses", [1, 20])
def test_of_a_thousand_strangers_few_stay_and_guests_come_and_go(
    gate: GateThread, tim: RawGuest, addresses: int
) -> None:
    sources = [f"127.0.1.{number + 1}" for number in range(addresses)]
    most = min(USUAL_LIMITS.strangers, USUAL_LIMITS.from_one_address * addresses)
    with contextlib.ExitStack() as stack:
        strangers = opened(stack, gate.port, PRESSED, *sources)
        eventually(lambda: sum(map(is_open, strangers)) <= most)
        let_in(gate)
        let_in(gate, source=sources[0])
        strangers += opened(stack, gate.port, 20, *sources)
        let_in(gate)
        assert sum(map(is_open, strangers)) <= most
        tim.writes(as_event("tim", 98))
        assert tim.events(1) == [as_event("tim", 98)]
    tim.answers(1)


def test_the_newest_strangers_stay(tmp_path: Path, memory: MemoryStream) -> None:
    gate = GateThread(tmp_path, memory)
    with gate.running(limits=Limits(strangers=4, from_one_address=2)), contextlib.ExitStack() as stack:
        one, two, three, four = (f"127.0.1.{number}" for number in range(1, 5))
        first = opened(stack, gate.port, 3, one)
        eventually(lambda: [is_open(stranger) for stranger in first] == [False, True, True])
        second = opened(stack, gate.port, 3, two, three, four)
        eventually(lambda: [is_open(stranger) for stranger in first[1:] + second] == [False, True, True, True, True])
        folder = gate.guest("tim").folder
        guests = [stack.enter_context(RawGuest(gate.port, folder)).starts(HEAD) for _ in range(6)]
        for guest in guests:
            assert [data for _, data in guest.past()] == PAST, "a guest counts as a stranger until TLS is done"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_of_ipv6_half_an_address_is_one(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) == same
