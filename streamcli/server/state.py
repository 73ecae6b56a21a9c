"""The server's state file, and whether the process in it is still that server."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from streamcli.system import locks, paths, private_files

FETCHING, STARTING, RUNNING, STOPPED = "fetching", "starting", "running", "stopped"
_SAME_START = 2.0  # seconds: create_time() depends on the boot time, which may be corrected slightly
# Held while a server is started or stopped. Not "lock": that is the server's, and on macOS state and data share a
# folder.
START_LOCK = "start.lock"
BACKUP_LOCK = "backup.lock"  # held while a backup is made


@dataclass(frozen=True)
class Ports:
    """The TCP ports of the server, all on loopback. The bookie has none."""

    rpc: int = 9090
    rest: int = 9091
    segment_store: int = 6000
    zookeeper: int = 4000

    @property
    def url(self) -> str:
        """The address that clients connect to."""
        return f"tcp://127.0.0.1:{self.rpc}"


@dataclass(frozen=True)
class ServerOptions:
    """The server's options. A client that has to restart it uses the last ones."""

    durable: bool = True
    data: str | None = None  # the data folder, None for the platform's; kept even while it runs in memory
    auth: bool = True


@dataclass(frozen=True)
class Record:
    """The state file. ``phase`` is what was last intended or seen; the process may have ended since."""

    phase: str
    pid: int
    created: float  # the process's create_time, seconds since the epoch: reveals a reused pid
    ports: Ports
    since: float  # when this phase began, seconds since the epoch
    choice: ServerOptions = ServerOptions()

    @property
    def alive(self) -> bool:
        """Whether the process exists, is the same one, and is no zombie."""
        return process(self) is not None


def folder() -> Path:
    """Return the server's own folder; it may not exist yet."""
    return paths.embedded_server_record().parent


def log_path() -> Path:
    """Return the path of Pravega's log; it may not exist yet. Two older ones are beside it."""
    return folder() / "log" / "server.log"


def launch_path() -> Path:
    """Return the path of the launch file. It is on the server's command line and identifies the process."""
    return folder() / "launch.json"


def health_path() -> Path:
    """Return the path of the server's report on its parts; it may not exist yet."""
    return folder() / "health.json"


def console_path() -> Path:
    """Return the path of the JVM's own output; it may not exist yet."""
    return folder() / "log" / "console.log"


def process(record: Record) -> psutil.Process | None:
    """Return the live process that ``record`` names, or None if it is gone or its pid belongs to another program."""
    try:
        found = psutil.Process(record.pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return None
        # If the clock was set since, the creation time is off, but the command line still identifies our server.
        if abs(found.create_time() - record.created) > _SAME_START and str(launch_path()) not in found.cmdline():
            return None
    except (psutil.Error, ValueError, OverflowError):
        return None
    return found


def read() -> Record | None:
    """Read the record; None if it is missing or invalid (as if no server ever ran)."""
    try:
        fields = json.loads(paths.embedded_server_record().read_text(encoding="utf-8"))
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
    """Return the server's last options."""
    record = read()
    return record.choice if record else ServerOptions()


def write(record: Record) -> None:
    """Replace the record atomically: a reader sees the old one or the new one, never a part."""
    private_files.write(paths.embedded_server_record(), json.dumps(asdict(record)))


def put_back(record: Record | None) -> None:
    """Restore ``record``, or remove the file if there was none, after a failed start."""
    if record:
        write(record)
    else:
        paths.embedded_server_record().unlink(missing_ok=True)


def change(pid: int, allowed: tuple[str, ...], phase: str, now: float) -> bool:
    """Set the record's phase if it is still about ``pid`` and in one of the ``allowed`` phases; return whether.

    This keeps a start that just became ready and a concurrent stop from overwriting each other.
    """
    with lock("state.lock"):
        record = read()
        if record is None or record.pid != pid or record.phase not in allowed:
            return False
        write(replace(record, phase=phase, since=now))
        return True


def lock(name: str, wait: bool = True) -> AbstractContextManager[bool]:
    """Hold the file lock ``name``; if ``wait`` is False, yield False when it is taken. Released if its holder dies."""
    return locks.asked_for(paths.ensure_dir(folder()) / name, None if wait else 0)
