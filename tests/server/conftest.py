"""The server's tests use real parts: a real HTTP server for the fetching, a real Pravega for the life cycle."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from streamcli.model.address import Login
from streamcli.server import launch, state
from tests.certificates import Authority
from tests.conftest import Server, start_server
from tests.environment import STREAMCLI, make_home


def until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Poll ``condition`` until it holds or ``seconds`` are over; say whether it holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@dataclass
class Heard:
    """A Progress that remembers."""

    stages: list[str] = field(default_factory=list)
    bytes: list[tuple[int, int]] = field(default_factory=list)

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def download(self, done: int, total: int) -> None:
        self.bytes.append((done, total))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Own state and data folders; the jars come from STREAMCLI_TEST_CACHE or else the user's real cache."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if cache := os.environ.get("STREAMCLI_TEST_CACHE"):
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
    yield state.folder()
    record = state.read()
    if record and record.pid != os.getpid() and (process := state.process(record)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
            process.wait(10)


@dataclass
class Repository:
    """A Maven repository on loopback whose misbehaviour a test can order."""

    url: str
    server: http.server.HTTPServer
    files: dict[str, bytes]  # by file name
    asked: list[str] = field(default_factory=list)  # file names, in the order of the requests
    failures: dict[str, list[str]] = field(default_factory=dict)  # file name: what to do at the next requests
    released: threading.Event = field(default_factory=threading.Event)  # lets go what "hang" holds

    def lock(self, path: Path, **lies: str) -> Path:
        """Write a lock file of all files to ``path``; ``lies`` are wrong checksums by artifact."""
        lines = []
        for name, content in self.files.items():
            artifact = name.removesuffix("-1.0.jar")
            checksum = lies.get(artifact) or hashlib.sha256(content).hexdigest()
            lines.append(f"org.example:{artifact}:1.0 {checksum} {len(content)}\n")
        path.write_text("# a comment\n" + "".join(lines))
        return path

    def encrypt(self, authority: Authority) -> str:
        """Speak TLS from now on, with a certificate of ``authority``; the new URL."""
        authority.vouch_for("localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        return f"https://localhost:{self.server.server_address[1]}"


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    files = {f"{name}-1.0.jar": name.encode() * 20_000 for name in ("ant", "bee", "cat", "dog", "elk")}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    served = Repository(f"http://127.0.0.1:{server.server_address[1]}", server, files)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[1]
            content = served.files.get(name)
            if content is None:
                self.send_error(404)
                return
            served.asked.append(name)
            failure = served.failures.get(name, [])
            what = failure.pop(0) if failure else ""
            if what.isdigit():
                self.send_error(int(what))
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:9000])
            if what == "drop":
                return
            if what == "hang":
                self.wfile.flush()
                served.released.wait(60)
            with suppress(OSError):
                self.wfile.write(content[9000:])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    monkeypatch.setenv("STREAMCLI_MAVEN_URL", served.url)
    yield served
    served.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


_FAKE_SERVER = """\
import http.server, json, os, pathlib, signal, sys, time
ports = json.loads(pathlib.Path(sys.argv[1]).read_text())["ports"]
starts = pathlib.Path({folder!r}) / "starts"
starts.write_text((starts.read_text() if starts.exists() else "") + "x")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{{"scopes":[{{"scopeName":"_system"}}]}}')
    def log_message(self, *a):
        pass
def serve():
    http.server.HTTPServer(("127.0.0.1", ports["rest"]), Handler).serve_forever()
first = starts.read_text() == "x"
{body}
"""


def fake_java(folder: Path) -> Path:
    """What passes for a Java 17 as long as nobody runs it."""
    java, library = folder / "bin" / "java", folder / "lib" / "server" / "libjvm.so"
    for path in (java, library):
        path.parent.mkdir(parents=True)
        path.touch(0o755)
    return java


@pytest.fixture
def fake_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A stand-in for the server's process where what counts is our side.

    Its ``body`` may call serve(), and knows ``first``. Each start adds an ``x`` to the file that is returned.
    """

    monkeypatch.setenv("STREAMCLI_JAVA", str(fake_java(tmp_path / "java")))

    def make(body: str) -> Path:
        path = tmp_path / "fake_server.py"
        path.write_text(_FAKE_SERVER.format(folder=str(tmp_path), body=body))
        monkeypatch.setattr(launch, "program", lambda: [sys.executable, str(path)])
        return tmp_path / "starts"

    return make


@dataclass(frozen=True)
class Durable:
    """A durable server that asks for a password, and all that its owner knows of it."""

    server: Server
    home: Path
    data: Path
    ports: dict[str, int]
    login: Login
    signing_key: str
    zookeeper_password: str


@pytest.fixture(scope="session")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Durable]:
    """The durable server that the tests share which leave it alive."""
    home = tmp_path_factory.mktemp("durable")
    server = start_server(make_home(home), "--data-dir", str(home / "its data"))
    folder = home / ".local" / "state" / "streamcli" / "server"
    secret = json.loads((folder / "credentials.json").read_text())
    yield Durable(
        server,
        home,
        home / "its data",
        json.loads((folder / "state.json").read_text())["ports"],
        Login("streamcli", secret["password"]),
        secret["signing_key"],
        secret["zookeeper"],
    )
    server.stop()


def port_of(server: Server, part: str) -> int:
    """The port of a ``part``, as `server status` tells it."""
    out = subprocess.run([*STREAMCLI, "server", "status"], env=server.env, check=True, capture_output=True, text=True)
    found = re.search(rf"^  {part} +port (\d+), ok$", out.stdout, re.MULTILINE)
    assert found, out.stdout
    return int(found[1])


def listening(pid: int) -> dict[int, str]:
    """The ports at which a process listens, and the address of each."""
    return {
        c.laddr.port: c.laddr.ip.removeprefix("::ffff:")
        for c in psutil.Process(pid).net_connections(kind="tcp")
        if c.status == psutil.CONN_LISTEN
    }
