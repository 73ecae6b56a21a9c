"""`Cluster`: starts, stops, kills and restarts the parts of a real Pravega cluster, and knows how each of them is."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import psutil

from cluster import launch, record
from cluster.record import PARTS, Record, kind_of, rest_of
from cluster.settings import Kind
from streamcli.errors import Unreachable, UsageError
from streamcli.model.address import Login
from streamcli.server import probe
from streamcli.server.credentials import account_line
from streamcli.system import locks, private_files
from streamcli.system.paths import ensure_dir

LOGIN_FILE = "login.toml"
READY_WITHIN = 60.0  # seconds
_LOOK = 0.1  # seconds between looks at parts that start
_PATIENCE = 0.5  # seconds for one answer
_END_WITHIN = 5.0  # seconds from SIGTERM to SIGKILL
# After a kill a part's session lives on for some seconds, and some parts end when they find their own name taken.
_STARTS = 4
_FORMATTED = "data/format"

Say = Callable[[str], None]


def _quiet(text: str) -> None:
    pass


class Cluster:
    """The cluster in a folder. Several programs may use it at a time, but only one starts or stops parts."""

    def __init__(self, folder: Path, say: Say = _quiet) -> None:
        """``say`` gets a line for each step."""
        self.folder, self._say = folder.absolute(), say

    @property
    def url(self) -> str:
        """The URL that names both controllers."""
        return self._record().url

    @property
    def login(self) -> Login:
        """The account for everything."""
        return self._record().login

    @property
    def login_file(self) -> Path:
        """The account in a file as streamcli reads it."""
        return self.folder / LOGIN_FILE

    def port(self, part: str) -> int:
        """Return the port on which a part listens."""
        return self._record().ports[_known(part)]

    def pid(self, part: str) -> int | None:
        """Return the id of the part's process, None if it does not run."""
        process = self._record().process(_known(part))
        return process.pid if process else None

    def status(self) -> dict[str, str]:
        """Return how each part is: "ready", "starting", "silent" or "down"; empty if there is no cluster."""
        found = record.read(self.folder)
        return {part: self._state(found, part) for part in PARTS} if found else {}

    def start(self, timeout: float = READY_WITHIN) -> str:
        """Start every part that does not run, wait until all are ready, and return the URL of both controllers.

        Raises Unreachable with what failed; what has been started goes on.
        """
        end = time.monotonic() + timeout
        with self._alone():
            kept = record.read(self.folder) or record.new()
            ensure_dir(self.folder)
            record.write(self.folder, kept)
            private_files.write(self.folder / "accounts", account_line(kept.login))
            private_files.write(self.login_file, _login_text(kept))
            # Each kind needs those before it; all but the first bookie wait until that one has prepared the metadata.
            self._start(kept, ["zookeeper"], end)
            first, *others = _of(Kind.BOOKIE)
            formatted = self.folder / first / _FORMATTED
            if not formatted.exists():
                self._launch(kept, [first])
                self._wait(kept, [first], end, until=lambda part: formatted.exists())
            self._start(kept, [first, *others], end)
            self._start(kept, [*_of(Kind.CONTROLLER), *_of(Kind.STORE)], end)
            return kept.url

    def stop(self) -> bool:
        """Stop all parts; return whether any ran. The data stay."""
        with self._alone():
            kept = record.read(self.folder)
            running = [process for part in PARTS if kept and (process := kept.process(part))]
            for process in running:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate()
                    process.resume()
            if kept and not _gone(kept, PARTS):
                for process in running:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
                _gone(kept, PARTS)
            return bool(running)

    def kill(self, part: str) -> bool:
        """kill -9 of one part; return whether it ran. It is gone when this returns."""
        kept = self._record()
        process = kept.process(_known(part))
        if process is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        if not _gone(kept, [part]):
            raise Unreachable(f"Process {process.pid} of {part} does not end.")
        return True

    def restart(self, part: str, timeout: float = READY_WITHIN) -> None:
        """Start one part again, after a kill if it runs, and wait until it is ready. Raises Unreachable."""
        self.kill(part)
        with self._alone():
            self._start(self._record(), [part], time.monotonic() + timeout)

    def delete(self) -> None:
        """Stop all parts and delete the folder with all data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _record(self) -> Record:
        found = record.read(self.folder)
        if found is None:
            raise Unreachable(f"There is no cluster in {self.folder}: it was never started.")
        return found

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        ensure_dir(self.folder)
        fd = locks.try_hold(self.folder / "lock")
        if fd is None:
            raise Unreachable(f"Another program is starting or stopping the cluster in {self.folder}. Try again later.")
        try:
            yield
        finally:
            os.close(fd)

    def _start(self, kept: Record, parts: Sequence[str], end: float) -> None:
        self._launch(kept, parts)
        self._wait(kept, parts, end)

    def _launch(self, kept: Record, parts: Iterable[str]) -> None:
        for part in parts:
            if kept.process(part):
                continue
            if not probe.is_free(kept.ports[part]):
                raise Unreachable(
                    f"Port {kept.ports[part]} of {part} is taken by another program. End that, or begin anew: "
                    f"stop the cluster and delete {self.folder}."
                )
            kept.processes[part] = launch.launch(self.folder, part, kept)
            record.write(self.folder, kept)
            self._say(f"{part} is starting, process {kept.processes[part][0]}")

    def _wait(self, kept: Record, parts: Sequence[str], end: float, until: Callable[[str], bool] | None = None) -> None:
        """Wait until all ``parts`` are ready, and start those again that end meanwhile."""
        ready = until or (lambda part: self._state(kept, part) == "ready")
        waiting, starts = list(parts), dict.fromkeys(parts, 1)
        while waiting:
            for part in [*waiting]:
                if ready(part):
                    waiting.remove(part)
                    if not until:
                        self._say(f"{part} is ready on port {kept.ports[part]}")
                elif not kept.process(part):
                    self._start_again(kept, part, starts)
            if waiting and time.monotonic() > end:
                last, log = launch.last_words(self.folder / waiting[0]), self.folder / waiting[0] / "log"
                words = f' Its last words: "{last}".' if last else ""
                raise Unreachable(f"Not ready in time: {', '.join(waiting)}.{words} Its logs: {log}")
            if waiting:
                time.sleep(_LOOK)

    def _start_again(self, kept: Record, part: str, starts: dict[str, int]) -> None:
        last = launch.last_words(self.folder / part)
        if starts[part] == _STARTS:
            words = f' with "{last}"' if last else ""
            raise Unreachable(f"{part} ended while it started{words}. Its logs: {self.folder / part / 'log'}")
        starts[part] += 1
        self._say(f"{part} has ended ({last or 'it said nothing'}) and is started again")
        self._launch(kept, [part])

    def _state(self, kept: Record, part: str) -> str:
        process = kept.process(part)
        if process is None:
            return "down"
        if not probe.belongs_to(kept.ports[part], process.pid):
            return "starting"
        return "ready" if _answers(kept, part) else "silent"


def _gone(kept: Record, parts: Iterable[str]) -> bool:
    """Wait until none of ``parts`` runs; whether that came true. One that is dead but not yet reaped does not run."""
    end = time.monotonic() + _END_WITHIN
    while any(kept.process(part) for part in parts):
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK / 10)
    return True


def _answers(kept: Record, part: str) -> bool:
    kind, port = kind_of(part), kept.ports[part]
    if kind is Kind.ZOOKEEPER:
        return probe.zookeeper_answers(port, _PATIENCE)
    if kind is Kind.CONTROLLER:
        return probe.is_ready(kept.ports[rest_of(part)], _PATIENCE, kept.login)
    if kind is Kind.STORE:
        return probe.segment_store_answers(port, _PATIENCE)
    return probe.is_listening(port, _PATIENCE)


def _of(kind: Kind) -> list[str]:
    return [part for part in PARTS if kind_of(part) is kind]


def _known(part: str) -> str:
    if part not in PARTS:
        raise UsageError(f"There is no part {part!r}. There are: {', '.join(PARTS)}.")
    return part


def _login_text(kept: Record) -> str:
    fields = {"url": kept.url, "account": kept.login.user, "password": kept.password}
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())
