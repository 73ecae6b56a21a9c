"""What is written down about the server, and whether the process it names is still that server."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from streamcli.system import locks, paths, private_files

FETCHING, STARTING, RUNNING, STOPPED = "fetching", "starting", "running", "stopped"
_SAME_START = 2.0  # seconds: the boot time that create_time() builds on may be corrected by a little
# Held by who starts or stops a server. Not "lock": that is the server's, and on macOS state and data have one folder.
START_LOCK = "start.lock"


@dataclass(frozen=True)
class Ports:
    """The TCP ports of the server, all on loopback. The bookie has none."""

    rpc: int = 9090
    rest: int = 9091
    segment_store: int = 6000
    zookeeper: int = 4000

    @property
    def url(self) -> str:
        """The address that a client takes."""
        return f"tcp://127.0.0.1:{self.rpc}"


@dataclass(frozen=True)
class ServerOptions:
    """How the server is meant to run. A client that has to start it again takes what was chosen last."""

    durable: bool = True
    data: str | None = None  # the data folder, None for the platform's; remembered even while it runs in memory
    auth: bool = True


@dataclass(frozen=True)
class Record:
    """The state file. ``phase`` is what was last intended or seen; the process may be gone since."""

    phase: str
    pid: int
    created: float  # the process's create_time, seconds since the epoch: tells a reused pid
    ports: Ports
    since: float  # when this phase began, seconds since the epoch
    choice: ServerOptions = ServerOptions()

    @property
    def alive(self) -> bool:
        """Whether the process is there, is the same one, and is no zombie."""
        return process(self) is not None


def folder() -> Path:
    """The server's own folder; it may not exist yet."""
    return paths.state_dir() / "server"


def log_path() -> Path:
    """Pravega's log; it may not exist yet. Two older ones lie beside it."""
    return folder() / "log" / "server.log"


def launch_path() -> Path:
    """What the server's process was told; it stands on its command line, and on that of no other program."""
    return folder() / "launch.json"


def health_path() -> Path:
    """What the server's process says about its parts; it may not exist yet."""
    return folder() / "health.json"


def console_path() -> Path:
    """What the JVM itself wrote to its outputs; it may not exist yet."""
    return folder() / "log" / "console.log"


def process(record: Record) -> psutil.Process | None:
    """The live process that ``record`` names, or None when it is gone or its pid belongs to another program."""
    try:
        found = psutil.Process(record.pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return None
        # Where the clock was set since, the time of creation is off, but the command line still tells our server.
        if abs(found.create_time() - record.created) > _SAME_START and str(launch_path()) not in found.cmdline():
            return None
    except (psutil.Error, ValueError, OverflowError):
        return None
    return found


def read() -> Record | None:
    """The record, or None when there is none or it can't be understood (then it is as if no server ever ran)."""
    try:
        fields = json.loads((folder() / "state.json").read_text(encoding="utf-8"))
        ports = Ports(*(int(fields["ports"][name]) for name in Ports.__dataclass_fields__))
        return Record(
            str(fields["phase"]),
            int(fields["pid"]),
            float(fields["created"]),
            ports,
            float(fields["since"]),
            _choice(fields["choice"]) if "choice" in fields else ServerOptions(),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _choice(fields: dict[str, object]) -> ServerOptions:
    data = fields["data"]
    return ServerOptions(bool(fields["durable"]), None if data is None else str(data), bool(fields["auth"]))


def remembered() -> ServerOptions:
    """How the server was last meant to run."""
    record = read()
    return record.choice if record else ServerOptions()


def write(record: Record) -> None:
    """Replace the record as a whole: a reader sees the old one or the new one, never a part."""
    private_files.write(folder() / "state.json", json.dumps(asdict(record)))


def put_back(record: Record | None) -> None:
    """Write ``record`` again, or remove the file when there was none: what was begun since came to nothing."""
    if record:
        write(record)
    else:
        (folder() / "state.json").unlink(missing_ok=True)


def change(pid: int, allowed: tuple[str, ...], phase: str, now: float) -> bool:
    """Give the record a new phase if it is still about ``pid`` and in one of the ``allowed`` phases; say whether.

    So that a start which just became ready and a stop that runs beside it can't overwrite each other.
    """
    with lock("state.lock"):
        record = read()
        if record is None or record.pid != pid or record.phase not in allowed:
            return False
        write(replace(record, phase=phase, since=now))
        return True


def lock(name: str, wait: bool = True) -> AbstractContextManager[bool]:
    """Hold the file lock ``name``; with ``wait`` False give False when another process has it. Dies with its holder."""
    return locks.asked_for(paths.ensure_dir(folder()) / name, None if wait else 0)
