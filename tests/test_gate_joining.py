"""Joining over the wire: with an invitation once, and once more if the answer was lost on its way."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from streamcli.cli.joining import Joining, join
from streamcli.errors import NotPermitted, StreamcliError, Unreachable
from streamcli.gate.certificates import GateKeys, new_guest_key, server_context
from streamcli.gate.guest_list import UNKNOWN
from streamcli.gate.signing import sign_apart
from streamcli.model.invitation import Invitation, pin_of, secret_hash
from streamcli.model.joined_chat import JoinedChat
from streamcli.saved_chats import chats_folder
from streamcli.system.clock import SYSTEM
from tests.conftest import eventually
from tests.gate_running import GateThread
from tests.memory_stream import MemoryStream
from tests.raw_guest import HEAD, JOIN, RawGuest, as_event

PAST = [as_event("owner", number) for number in range(10, 15)]
SECRET = b"sixteen bytes 01"
UNUSED = b"sixteen bytes 02"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whoever joins in these tests is at home here."""
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def memory() -> MemoryStream:
    stream = MemoryStream()
    stream.write(*PAST)
    return stream


@pytest.fixture
def gate(tmp_path: Path, memory: MemoryStream) -> Iterator[GateThread]:
    gate = GateThread(tmp_path, memory)
    with gate.running():
        gate.guests.invite("alex", SECRET, "owner", time.time() + 60, False)
        yield gate


def asks(gate: GateThread, secret: bytes, public: object) -> Any:
    """The gate's answer to a request to join, None if there is none."""
    with RawGuest(gate.port, None, JOIN) as stranger:
        stranger.says(json.dumps({"secret": secret.hex(), "key": public}).encode() + b"\n")
        return json.loads(stranger.piece() or b"null")


def invitation(gate: GateThread, secret: bytes = SECRET, port: int = 0) -> Invitation:
    return Invitation("alex", ("127.0.0.1",), port or gate.port, pin_of(gate.keys.der()), secret)


def joins(gate: GateThread, secret: bytes = SECRET, port: int = 0, saved_as: str | None = None) -> JoinedChat:
    return join(Joining(invitation(gate, secret, port), saved_as), io.StringIO(), SYSTEM)


def seen_by(gate: GateThread, folder: Path) -> list[bytes]:
    with RawGuest(gate.port, folder) as guest:
        return [data for _, data in guest.starts(HEAD).past()]


def test_who_joins_is_a_guest(gate: GateThread) -> None:
    chat = joins(gate)
    assert (chat.guest, chat.name, chat.stream) == ("alex", "owner", "scope/stream")
    assert seen_by(gate, chat.folder) == PAST
    with pytest.raises(NotPermitted, match="used, expired or unknown"):
        joins(gate, saved_as="again")
    assert not [path.name for path in chats_folder().iterdir() if path.name.startswith("_joining")], (
        "a refused attempt leaves no key"
    )


def test_the_invitation_is_for_one_key(gate: GateThread) -> None:
    mine, other = new_guest_key()[1], new_guest_key()[1]
    first = asks(gate, SECRET, mine)
    assert first["name"] == "alex" and first["places"] == [["127.0.0.1", gate.port]]
    assert asks(gate, SECRET, other) == {"refused": UNKNOWN, "code": 77}
    second = asks(gate, SECRET, mine)
    assert second.keys() == first.keys(), "the same key may ask again"
    assert asks(gate, UNUSED, mine) == {"refused": UNKNOWN, "code": 77}


@pytest.mark.parametrize("public", ["", "x", None, 7, ["x"], "\ud800", new_guest_key()[0]])
def test_a_key_that_is_none_uses_nothing_up(gate: GateThread, public: object) -> None:
    assert asks(gate, SECRET, public) == {"refused": "This gate can't use the key of who joins.", "code": 77}
    assert gate.guests.read().guests == {}
    assert joins(gate).guest == "alex"


def test_while_a_key_is_signed_the_owner_can_change_the_list(gate: GateThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signing takes a process; whoever joins again and again must not lock the owner out."""
    begun, may_end = threading.Event(), threading.Event()

    def signs(keys: GateKeys, name: str, public: str) -> str:
        begun.set()
        assert may_end.wait(20)
        return sign_apart(keys, name, public)

    monkeypatch.setattr("streamcli.gate.gate.sign_apart", signs)
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(asks, gate, SECRET, new_guest_key()[1])
        assert begun.wait(20)
        assert gate.guests.remove("alex")
        may_end.set()
        assert answer.result(20) == {"refused": UNKNOWN, "code": 77}, "and what was changed meanwhile counts"
    assert gate.guests.read().guests == {}


class CutsOff:
    """Passes on all that a client says, and what the gate says until the client has asked; then it hangs up."""

    def __init__(self, gate: GateThread) -> None:
        self._gate = gate
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> CutsOff:
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join(20)
        self._listening.close()

    def _relay(self) -> None:
        client, _ = self._listening.accept()
        with client, socket.create_connection(("127.0.0.1", self._gate.port)) as gate:
            gate.sendall(client.recv(1 << 16))  # ClientHello
            client.settimeout(0.01)
            gate.settimeout(0.01)
            hello = b""
            while not hello or self._is_quiet(client):
                with contextlib.suppress(TimeoutError):
                    hello = gate.recv(1 << 16)
                    client.sendall(hello)
            while not self._gate.guests.read().guests:
                with contextlib.suppress(TimeoutError):
                    gate.sendall(client.recv(1 << 16))
            gate.recv(1 << 16)  # the answer has come this far

    def _is_quiet(self, client: socket.socket) -> bool:
        try:
            return not client.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True


def test_a_join_whose_answer_was_lost_is_repeated_with_the_same_line(gate: GateThread) -> None:
    with CutsOff(gate) as relay:
        with pytest.raises(Unreachable, match="The gate can't be reached"):
            joins(gate, port=relay.port)
        lost = gate.guests.read().guests["alex"]
        assert list(chats_folder().glob("*/joined.json")) == []
    chat = joins(gate)
    assert seen_by(gate, chat.folder) == PAST
    assert gate.guests.read().guests["alex"].fingerprint != lost.fingerprint, "the certificate that was lost is void"
    assert list(chats_folder().glob("_joining*")) == []


def test_who_was_uninvited_meanwhile_can_not_repeat(gate: GateThread) -> None:
    with CutsOff(gate) as relay, pytest.raises(Unreachable):
        joins(gate, port=relay.port)
    gate.guests.remove("alex")
    with pytest.raises(NotPermitted, match="used, expired or unknown"):
        joins(gate)
    assert gate.guests.read().guests == {}


def test_who_may_not_read_the_past_begins_where_the_log_ended_at_joining(
    gate: GateThread, memory: MemoryStream
) -> None:
    gate.guests.invite("alex", UNUSED, "owner", time.time() + 60, True)
    assert asks(gate, SECRET, new_guest_key()[1])["code"] == 77, "void since there is a second one"
    with CutsOff(gate) as relay, pytest.raises(Unreachable):
        joins(gate, UNUSED, relay.port)
    floor = gate.guests.read().guests["alex"].floor
    memory.write(between := as_event("owner", 20))
    eventually(lambda: gate.hub and gate.hub.reader.ring.cursor.at("log-1#0") == memory.events()[-1].end)
    chat = joins(gate, UNUSED)
    assert gate.guests.read().guests["alex"].floor == floor, "a repeated join does not move it"
    assert seen_by(gate, chat.folder) == [between]


@pytest.mark.slow
def test_without_a_log_nobody_joins_without_its_past(gate: GateThread) -> None:
    gate.guests.invite("alex", SECRET, "owner", time.time() + 60, True)
    gate.call(lambda: gate.memory_log.refuse("the server is gone"))
    eventually(lambda: gate.hub and not gate.hub.reader.is_open)
    with pytest.raises(Unreachable, match="no connection to its log"):
        joins(gate)
    gate.call(gate.memory_log.permit)
    assert seen_by(gate, joins(gate).folder) == []


def test_of_the_owners_files_a_stranger_is_told_nothing(gate: GateThread) -> None:
    file = gate.folder / "gate" / "guests.json"
    content = file.read_text()
    file.write_text("{")
    answer = asks(gate, SECRET, new_guest_key()[1])
    assert answer == {"refused": "The gate is in trouble just now. Its owner finds the reason in the log.", "code": 69}
    file.write_text(content)
    assert joins(gate).guest == "alex"


def test_another_gate_gets_no_secret(gate: GateThread, tmp_path: Path) -> None:
    other = GateThread(tmp_path / "other", MemoryStream())
    with other.running():
        with pytest.raises(StreamcliError, match="Another server answers at"):
            joins(gate, port=other.port)
        assert other.guests.read().guests == {}
    assert not (tmp_path / "other" / "gate" / "audit.log").exists(), "nothing was asked of it"
    assert joins(gate).guest == "alex"


ANSWERS: dict[str, Any] = {
    "nothing": None,
    "a list": [],
    "no certificate": {"owner": "tim", "stream": "s/s", "places": []},
    "no owner": {"certificate": "", "owner": "", "stream": "s/s", "places": []},
    "an owner who steers the terminal": {"certificate": "", "owner": "\x1b[2J", "stream": "s/s", "places": []},
    "no stream": {"certificate": "", "owner": "tim", "stream": 7, "places": []},
    "strange addresses": {"certificate": "", "owner": "tim", "stream": "s/s", "places": [["h", "4483"]]},
    "no words": {"refused": 7},
}


@contextlib.contextmanager
def answering(gate: GateThread, line: bytes) -> Iterator[int]:
    """Somebody with the gate's key who says this to whoever joins, and the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            context = server_context(gate.keys)
            context.set_alpn_protocols([JOIN])
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as one:
                one.recv(1 << 16)
                one.sendall(line + b"\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(20)


@pytest.mark.parametrize("what", [*ANSWERS, "nested for ever", "no JSON"])
def test_an_answer_that_is_none_is_told_in_one_line_and_joins_nothing(gate: GateThread, what: str) -> None:
    line = {"nested for ever": b"[" * 60_000, "no JSON": b"\xff"}.get(what) or json.dumps(ANSWERS[what]).encode()
    with answering(gate, line) as port, pytest.raises(Unreachable, match="The gate can't be reached") as failure:
        joins(gate, port=port)
    assert str(failure.value).isprintable()
    assert list(chats_folder().glob("*/joined.json")) == []
    assert joins(gate).guest == "alex", "the line is as good as before"


def test_a_refusal_does_not_steer_the_terminal(gate: GateThread) -> None:
    line = json.dumps({"refused": "\x1b[2Jgo\naway", "code": 77}).encode()
    with answering(gate, line) as port, pytest.raises(NotPermitted, match="go\ufffdaway"):
        joins(gate, port=port)


def test_who_joined_and_who_was_refused_is_written_down(gate: GateThread) -> None:
    asks(gate, UNUSED, new_guest_key()[1])
    chat = joins(gate)
    seen_by(gate, chat.folder)
    eventually(lambda: len((gate.folder / "gate" / "audit.log").read_text().splitlines()) == 4)
    lines = [json.loads(line) for line in (gate.folder / "gate" / "audit.log").read_text().splitlines()]
    assert [(line["what"], line.get("name"), line["from"]) for line in lines] == [
        ("refused", None, "127.0.0.1"),
        ("joined", "alex", "127.0.0.1"),
        ("came", "alex", "127.0.0.1"),
        ("went", "alex", "127.0.0.1"),
    ]
    assert lines[0]["why"] == "a used, expired or unknown invitation"
    text = json.dumps(lines)
    assert SECRET.hex() not in text and UNUSED.hex() not in text and secret_hash(SECRET) not in text
