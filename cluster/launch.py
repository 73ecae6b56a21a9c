"""Launches the process of a part in a folder of its own, and reads its last words."""

from __future__ import annotations

import functools
import json
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from cluster import settings
from cluster.record import Record, kind_of, rest_of
from cluster.settings import Kind
from streamcli.errors import from_os_error
from streamcli.java import archive
from streamcli.java.detached import start_detached
from streamcli.java.jars import ensure_jars
from streamcli.java.progress import Lines
from streamcli.java.which import java, libjvm
from streamcli.server.parts import LOGBACK
from streamcli.system import private_files
from streamcli.system.paths import ensure_dir

JARS = "jars"  # a link in the part's folder
_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xrs",
    "-XX:ErrorFile=log/jvm-crash.log",
    "-Djava.io.tmpdir=tmp",
)
_LOGS = ("console.log", "server.log")


@functools.cache
def _java_and_jars() -> tuple[Path, tuple[Path, ...]]:
    return java(), tuple(ensure_jars(Lines(sys.stderr)))


def launch(folder: Path, part: str, kept: Record) -> tuple[int, float]:
    """Start the part's process, detached; return its id and when it was created. Raises Unusable and file errors."""
    home = folder / part
    for name in ("data", "tmp", "log"):
        ensure_dir(home / name)
    _prepare(home, part, kept)
    pid = start_detached(
        [sys.executable, "-m", "cluster.part", str(home / "launch.json")], home, home / "log" / _LOGS[0]
    )
    try:
        return pid, psutil.Process(pid).create_time()
    except psutil.Error:
        return pid, 0.0  # it has ended already, and says why in its log


def _prepare(home: Path, part: str, kept: Record) -> None:
    """Write the part's files, and move the logs of its last life aside."""
    kind, port, zookeeper = kind_of(part), kept.ports[part], kept.ports["zookeeper"]
    runtime, jars = _java_and_jars()
    texts = settings.files(kind, port, zookeeper) | {settings.LOGBACK_FILE: LOGBACK}
    for name, text in texts.items():
        private_files.write(home / name, text)
    told = {
        "jvm": str(libjvm(runtime)),
        "flags": [*_FLAGS, *settings.MEMORY[kind], *_archive(runtime, list(jars))],
        "classpath": [f"{JARS}/{jar.name}" for jar in jars],
        "properties": settings.properties(
            kind, port, kept.ports.get(rest_of(part), 0), zookeeper, kept.url, kept.login, kept.signing_key
        ),
        "main": settings.MAIN[kind],
        "rpc": kind is Kind.CONTROLLER,
        "format": "data/format" if part == "bookie-1" else None,
    }
    private_files.write(home / "launch.json", json.dumps(told))
    try:
        link = home / JARS
        link.unlink(missing_ok=True)
        link.symlink_to(jars[0].parent)
        for name in _LOGS:
            with suppress(FileNotFoundError):
                (home / "log" / name).replace(home / "log" / f"{name}.before")
    except OSError as error:
        raise from_os_error(error, home) from error


def _archive(runtime: Path, jars: list[Path]) -> list[str]:
    """Return the flags for the class archive, if the embedded server has made it already: Java starts faster then."""
    found = archive.archive_path(runtime, jars)
    return archive.using(found, f"{JARS}/{found.name}") if found.exists() else []


def last_words(home: Path) -> str:
    """Return the most telling line of a part's logs: the last error, else the last line, else ""."""
    lines: list[str] = []
    for name in _LOGS:
        with suppress(OSError):
            lines += (home / "log" / name).read_text("utf-8", "replace").splitlines()
    lines = [line.strip() for line in lines if line.strip()]
    telling = [line for line in lines if line.startswith(("Error", "Exception", "Caused by")) or " ERROR " in line]
    return (telling or lines or [""])[-1][:300]
