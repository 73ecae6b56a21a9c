"""The real parts all tests share: one Pravega server for the whole run, homes, terminals and raw clients."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
import pytest
from hypothesis import settings

from streamcli.server.state import START_LOCK
from tests.environment import STREAMCLI, living_below, make_home, makes_an_archive
from tests.guest import make_guest
from tests.raw import CLIENT, HAS_WHEEL, Raw
from tests.terminal import Terminal

# The same examples in every run, so that a red run can be run again.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

# In a shell's background Ctrl-C is ignored, and so it would be by every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the same after nohup

SERVERS = {"server", "own_server", "durable", "closed", "encrypted", "cluster"}  # the fixtures that start a server
# Files whose tests start the program or a worker, or wait for a repository, again and again.
SLOW_FILES = {
    "test_cli.py",
    "test_controllers.py",
    "test_gate_bounds.py",
    "test_gate_strangers.py",
    "test_guard.py",
    "test_opening.py",
    "test_remembered.py",
    "test_server_jars.py",
    "test_starting.py",
    "test_supervisor.py",
}
NO_WHEEL = "is about the package pravega, which has no wheel for this Python or machine"
NO_JAVA = "/a test that starts Java is marked real"
OPEN = ("--in-memory", "--no-auth")  # how a server starts quickest and is asked with least ado
Tell = Callable[[str], None]
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever uses a server of a fixture is real; who starts one without a fixture says so.

    Those marked `wheel` are skipped where the raw client isn't the package pravega.
    """
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if SERVERS.intersection(fixtures):
            item.add_marker("real")
        elif "fake_server" in fixtures or item.path.name in SLOW_FILES:
            item.add_marker("slow")
        if CLIENT == "java" and item.get_closest_marker("wheel"):
            item.add_marker(pytest.mark.skip(reason=NO_WHEEL))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that is not marked real finds no Java, so that none of `make test-quick` can start a server unnoticed.

    Where the package pravega is missing, it does: a chat there needs one.
    """
    before = os.environ.get("STREAMCLI_JAVA")
    if HAS_WHEEL and not item.get_closest_marker("real"):
        os.environ["STREAMCLI_JAVA"] = NO_JAVA
    try:
        return (yield)
    finally:
        os.environ.pop("STREAMCLI_JAVA", None)
        if before is not None:
            os.environ["STREAMCLI_JAVA"] = before


@dataclass(frozen=True)
class Server:
    """A running embedded server of the tests' own."""

    url: str
    pid: int
    env: dict[str, str]

    @contextlib.contextmanager
    def stopped_in_its_tracks(self) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            eventually(self._has_stopped)  # its threads stop one by one
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _has_stopped(self) -> bool:
        if not sys.platform.startswith("linux"):
            return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        threads = Path(f"/proc/{self.pid}/task").glob("*/stat")
        return all(stat.read_text().rpartition(") ")[2][0] == "T" for stat in threads)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(self.pid).wait(10)

    def stop(self) -> None:
        subprocess.run([*STREAMCLI, "server", "stop"], env=self.env, check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def nobody_starts_a_server(env: dict[str, str]) -> Iterator[None]:
    """Hold the lock of who starts it, so that a chat goes on saying that its server is gone until that was read."""
    (path,) = Path(env["HOME"]).rglob(START_LOCK)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start_server(env: dict[str, str], *options: str) -> Server:
    """Start it in memory and open, unless ``options`` of `server start` say more."""
    options = options or OPEN
    run = [*STREAMCLI, "server"]
    subprocess.run(
        [*run, "start", "--timeout", "60", *options], env=env, check=True, stdout=subprocess.DEVNULL, timeout=300
    )
    status = subprocess.run([*run, "status"], env=env, check=True, capture_output=True, text=True, timeout=30).stdout
    facts = dict(line.split(maxsplit=1) for line in status.splitlines()[1:])
    return Server(facts["url"], int(facts["pid"]), env)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that all tests share, each on a stream of its own. Whoever suspends it lets it go on."""
    server = start_server(make_home(tmp_path_factory.mktemp("server")))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs streamcli where only a guest's packages are installed, without the extra `server`."""
    return make_guest(tmp_path_factory.mktemp("guest"))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server for one test alone, to be killed or stopped."""
    server = start_server(make_home(tmp_path / "own-server"))
    yield server
    server.stop()


@pytest.fixture
def stream() -> str:
    """A stream's name that no other test uses."""
    return f"test-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def raw(server: Server, stream: str) -> Iterator[Raw]:
    """A plain client on the test's stream, which it has made with one segment."""
    with Raw(server.url, stream) as client:
        yield client


class People:
    """Makes terminals in which people chat, and sees to it that all are gone afterwards."""

    def __init__(self, folder: Path, url: str, stream: str, stack: contextlib.ExitStack) -> None:
        self.folder, self.url, self.stream, self._stack = folder, url, stream, stack

    def env(self, name: str) -> dict[str, str]:
        """The environment of the person ``name``; a home of their own."""
        return {**make_home(self.folder / name), "STREAMCLI_STREAM": self.stream}

    def opens(self, name: str, *options: str, url: str | None = None, columns: int = 100, lines: int = 30) -> Terminal:
        """``name`` opens a chat in a new terminal."""
        command = [*STREAMCLI, url or self.url, name, *options]
        return self._stack.enter_context(Terminal(command, self.env(name), columns, lines))

    def joins(self, name: str, *options: str) -> Terminal:
        """``name`` opens a chat and is connected."""
        return self.opens(name, *options).connected()


@pytest.fixture
def people(tmp_path: Path, server: Server, stream: str) -> Iterator[People]:
    with contextlib.ExitStack() as stack:
        yield People(tmp_path, server.url, stream, stack)


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Say a figure to whoever watches the tests."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")

    return say


def eventually(what: Callable[[], object], deadline: float = 30.0) -> None:
    """Wait until ``what()`` is true."""
    end = time.monotonic() + deadline
    while not what():
        assert time.monotonic() < end, f"not within {deadline} s"
        time.sleep(0.02)


def waiting_in(pipe: IO[bytes] | IO[str] | int) -> int:
    """How many bytes stand in a pipe, unread."""
    found = fcntl.ioctl(pipe, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", found)[0])


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No process of ours outlives the run."""
    base = tmp_path_factory.getbasetemp()
    yield
    eventually(lambda: not any(map(makes_an_archive, living_below(base))), deadline=400)
    left = [f"{process.pid} {' '.join(process.info['cmdline'])}" for process in living_below(base)]
    assert not left, "processes left behind"
