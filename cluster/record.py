"""What is kept of a cluster in its folder: ports, secrets, and the processes that were started."""

from __future__ import annotations

import json
import random
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from cluster.settings import Kind
from streamcli.errors import Unreachable, Unusable
from streamcli.model.address import Login
from streamcli.server import probe
from streamcli.server.credentials import USER
from streamcli.system import private_files

FILE = "cluster.json"
COUNTS = {Kind.ZOOKEEPER: 1, Kind.BOOKIE: 3, Kind.CONTROLLER: 2, Kind.STORE: 2}
PARTS = tuple(
    f"{kind.value}-{number}" if count > 1 else kind.value
    for kind, count in COUNTS.items()
    for number in range(1, count + 1)
)
# Below the ports that the system gives to outgoing connections: none of those may sit on the port of a dead part.
_PORTS = range(21_000, 32_000)
_SAME_START = 2.0  # seconds by which a process's start may seem to differ


def kind_of(part: str) -> Kind:
    """Return the kind of the part with this name."""
    return Kind(part.partition("-")[0])


@dataclass
class Record:
    """The file's content."""

    ports: dict[str, int]  # of each part, and of each controller's REST as "controller-1 REST"
    password: str = field(repr=False)
    signing_key: str = field(repr=False)
    processes: dict[str, tuple[int, float]] = field(default_factory=dict)  # id, and when it was created

    @property
    def login(self) -> Login:
        """The only account, which may do everything."""
        return Login(USER, self.password)

    @property
    def url(self) -> str:
        """The URL that names all controllers."""
        places = [f"127.0.0.1:{self.ports[part]}" for part in PARTS if kind_of(part) is Kind.CONTROLLER]
        return f"tcp://{','.join(places)}"

    def process(self, part: str) -> psutil.Process | None:
        """Return the part's process if it lives."""
        pid, created = self.processes.get(part, (0, 0.0))
        try:
            found = psutil.Process(pid) if pid else None
            if found and found.status() != psutil.STATUS_ZOMBIE and abs(found.create_time() - created) < _SAME_START:
                return found
        except psutil.Error:
            pass
        return None


def read(folder: Path) -> Record | None:
    """Return the record of the cluster in ``folder``; None if there is none."""
    path = folder / FILE
    try:
        fields = json.loads(path.read_text("utf-8"))
        processes = {str(part): (int(pid), float(made)) for part, (pid, made) in fields["processes"].items()}
        ports = {str(name): int(port) for name, port in fields["ports"].items()}
        return Record(ports, str(fields["password"]), str(fields["signing_key"]), processes)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"{path} can't be used ({error}). Delete {folder} to begin anew.") from error


def new() -> Record:
    """Return the record of a new cluster, on free ports."""
    names = [*PARTS, *(rest_of(part) for part in PARTS if kind_of(part) is Kind.CONTROLLER)]
    free = [port for port in random.sample(_PORTS, 10 * len(names)) if probe.is_free(port)]
    if len(free) < len(names):
        raise Unreachable(f"Too few ports from {_PORTS.start} to {_PORTS.stop - 1} are free on this machine.")
    ports = dict(zip(names, free, strict=False))
    return Record(ports, secrets.token_urlsafe(32), secrets.token_urlsafe(32))


def rest_of(controller: str) -> str:
    """Return the name of a controller's REST port."""
    return f"{controller} REST"


def write(folder: Path, record: Record) -> None:
    """Replace the file; only its owner can read it."""
    private_files.write(folder / FILE, json.dumps(asdict(record), indent=1))
