"""A gate's own process: the memory that others can cost it, the secrets that it keeps, how fast it removes a guest."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import psutil
import pytest

from streamcli.cli import sharing
from streamcli.gate import control
from streamcli.gate.certificates import GateKeys
from streamcli.gate.gate import MOST_CONNECTIONS, NO_GUEST
from streamcli.gate.guest_connection import WINDOW
from streamcli.gate.guest_list import GuestList
from streamcli.gate.port import USUAL_LIMITS
from streamcli.model.invitation import parse_invitation, secret_hash
from streamcli.system.clock import SYSTEM
from streamcli.system.paths import gate_dir
from tests.conftest import Tell, eventually, start_server
from tests.environment import make_home
from tests.gate_running import let_in
from tests.raw_guest import HEAD, JOIN, RawGuest, as_event, plain
from tests.sharing import Owner, newcomer

pytestmark = [pytest.mark.timeout(240), pytest.mark.real]

MEGABYTE = 1 << 20
STRANGERS = 1000
MOST_FOR_STRANGERS = 64 * MEGABYTE
LARGE = 60_000  # bytes of an event
REMOVALS = 5
SECRETS_OF_THE_SERVER = ("password", "signing_key", "zookeeper")
HOLD_SECRETS = {"gate.key", "my.key", "credentials.json", "launch.json", "jaas.conf", "accounts"}
HANG = 10.0  # seconds


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    """The owner of a server with an account, whom others are invited by."""
    folder = tmp_path_factory.mktemp("owner")
    server = start_server(make_home(folder), "--in-memory")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        yield Owner(server, stack)


def joins(owner: Owner, folder: Path, name: str) -> Path:
    """Let ``name`` join, and return the folder with the keys."""
    person = newcomer(folder, name, contextlib.ExitStack())
    person.does("join", text=owner.invites(name) + "\n")
    (certificate,) = Path(person.env["HOME"]).rglob("my.crt")
    return certificate.parent


class Watched:
    """Notes how much memory a process has at most meanwhile."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.before = self.most = process.memory_info().rss

    def __enter__(self) -> Watched:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, self._process.memory_info().rss)

    @property
    def grown(self) -> int:
        return self.most - self.before


def test_a_thousand_strangers_cost_the_gate_some_megabytes_and_keep_nobody_out(
    owner: Owner, tmp_path: Path, tell: Tell
) -> None:
    folder = joins(owner, tmp_path, "alex")
    gate, port = owner.gate, owner.port
    sources = [f"127.0.1.{number}" for number in range(1, 21)]
    with RawGuest(port, folder) as alex, contextlib.ExitStack() as stack:
        alex.starts(HEAD, write=True).past()
        alex.may_write()
        with Watched(gate) as watched:
            for number in range(STRANGERS):
                source = sources[number % len(sources)]
                if number % 5 == 0:  # one who has done all but prove anything
                    with contextlib.suppress(OSError):
                        stranger = stack.enter_context(RawGuest(port, None, JOIN, source))
                        stranger.says(b'{"secret": "' + b"0" * (8 * MEGABYTE))
                else:
                    with contextlib.suppress(OSError):
                        stack.enter_context(plain(port, source)).sendall(b"\x16\x03\x01\x3f\xff" + bytes(10_000))
                if number % 100 == 99:
                    with RawGuest(port, folder, source="127.0.0.2") as again:
                        again.starts(HEAD).past()
                    alex.writes(as_event("alex", number))
                    assert alex.answers(1) == [""]
            assert len(gate.net_connections()) <= USUAL_LIMITS.strangers + 20
        assert watched.grown < MOST_FOR_STRANGERS
        tell(f"{STRANGERS} strangers: {watched.before / MEGABYTE:.1f} + {watched.grown / MEGABYTE:.1f} MB")
    eventually(lambda: len(gate.net_connections()) < 10)


def test_guests_who_never_read_cost_the_window_each(owner: Owner, tmp_path: Path, tell: Tell) -> None:
    writer, idle = joins(owner, tmp_path, "mara"), joins(owner, tmp_path, "bob")
    gate, port = owner.gate, owner.port
    with RawGuest(port, writer) as mara, contextlib.ExitStack() as stack:
        mara.starts(write=True).may_write()
        # As much as 16 connections may hold if they read nothing, in what the ring keeps.
        for number in range(0, 4 * WINDOW, LARGE):
            mara.writes(as_event("mara", number, message="x" * LARGE))
        mara.answers(len(range(0, 4 * WINDOW, LARGE)))
        with Watched(gate) as watched:
            for _ in range(MOST_CONNECTIONS):
                stack.enter_context(RawGuest(port, idle, limit=4096)).starts(HEAD)
            mara.writes(as_event("mara", 1))
            assert mara.answers(1) == [""]
            time.sleep(3)
        assert watched.grown < MOST_CONNECTIONS * (WINDOW + 3 * MEGABYTE)
        tell(f"{MOST_CONNECTIONS} that never read: {watched.before / MEGABYTE:.1f} + {watched.grown / MEGABYTE:.1f} MB")


def test_no_secret_is_in_an_argument_an_environment_a_log_or_what_is_said(owner: Owner, tmp_path: Path) -> None:
    line = owner.invites("pia")
    used, unused = parse_invitation(line), parse_invitation(owner.invites("lea"))
    pia = newcomer(tmp_path, "pia", contextlib.ExitStack())
    said = pia.does("join", text=line + "\n")
    pia.does("send", "hello")
    for arguments in (("join", line), ("join", line[:-1]), ("join", line, "--as", "x"), ("chats",), ("doctor",)):
        done = pia.runs(*arguments)
        said += done.stdout + done.stderr
    said += owner.does("guests") + owner.runs("uninvite", "nobody").stderr
    home, guests_home = Path(owner.env["HOME"]), Path(pia.env["HOME"])
    (gate_key,), (credentials,) = home.rglob("gate.key"), home.rglob("credentials.json")
    (joined,) = guests_home.rglob("joined.json")
    my_key = joined.with_name("my.key")
    secrets = {
        "the gate's key": gate_key.read_text().splitlines()[1],
        "the guest's key": my_key.read_text().splitlines()[1],
        **{name: json.loads(credentials.read_text())[name] for name in SECRETS_OF_THE_SERVER},
    }
    for name, secret in (("used", used.secret), ("unused", unused.secret)):
        secrets |= {
            f"the {name} secret": secret.hex(),
            f"the {name} secret in base64": base64.b64encode(secret).decode()[:20],
        }
    for name, invitation in (("used", used), ("unused", unused)):  # what of the line is the secret's alone
        secrets[f"the {name} secret in the line"] = invitation.line.rpartition("/")[2][26:50]
    assert len(set(secrets.values())) == len(secrets) == 11
    texts = {**texts_of_processes(owner), **texts_of_files(owner, guests_home), "what was said": said}
    for place, word in (("audit.log", "pia"), ("guests.json", secret_hash(unused.secret)), ("what was said", "pia")):
        assert word in texts[place], "what is there is found"
    assert [(name, place) for place, text in texts.items() for name, secret in secrets.items() if secret in text] == []


def texts_of_processes(owner: Owner) -> dict[str, str]:
    """What ``ps`` and /proc show of the gate and its workers."""
    gate = owner.gate
    found = {}
    for process in (gate, *gate.children(recursive=True)):
        for name in ("cmdline", "environ"):
            text = Path(f"/proc/{process.pid}/{name}").read_bytes().decode("utf-8", "replace")
            found[f"{name} of {process.cmdline()[-1]}"] = text
    assert len(found) >= 4 and all("streamcli" in text for text in found.values()), "the gate and its workers"
    return found


def texts_of_files(owner: Owner, guests_home: Path) -> dict[str, str]:
    """All files but those whose purpose it is to hold secrets."""
    found: dict[str, str] = {}
    for home in (Path(owner.env["HOME"]), guests_home):
        for path in home.rglob("*"):
            if path.is_file() and path.name not in HOLD_SECRETS:
                found[path.name] = found.get(path.name, "") + path.read_bytes().decode("utf-8", "replace")
    assert {
        "audit.log",
        "guests.json",
        "gate.json",
        "streamcli.log",
        "console.log",
        "joined.json",
        "server.log",
    } <= set(found)
    return found


def test_a_guest_is_removed_at_once(owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell) -> None:
    """The time is from the command's beginning, which writes the list, to the end of the guest's connection."""
    joins(owner, tmp_path, "kim")  # the gate runs on while eva comes and goes
    for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, owner.env[name])
    keys, guests = GateKeys(gate_dir()), GuestList(gate_dir())
    took, asked = [], []
    for number in range(REMOVALS):
        folder = let_in(keys, guests, "eva", tmp_path / f"eva-{number}")
        control.ask()
        with RawGuest(owner.port, folder) as eva:
            eva.starts(HEAD).past()
            with ThreadPoolExecutor(1) as thread:
                waiting = thread.submit(lambda eva=eva: (eva.rest(), time.monotonic()))  # type: ignore[misc]
                begun, out = time.monotonic(), io.StringIO()
                sharing.uninvite("eva", out, SYSTEM)
                asked.append(time.monotonic() - begun)
                frames, ended = waiting.result(20)
        assert [frame.fields()["text"] for frame in frames] == [NO_GUEST]
        assert out.getvalue().startswith("eva is out: 1 connection closed.")
        took.append(ended - begun)
    assert max(took) < HANG
    for what, times in (("connection ended", took), ("uninvite returned", asked)):
        tell(f"{what}: median {median(times) * 1000:.1f} ms, max {max(times) * 1000:.1f} ms, n = {len(times)}")
