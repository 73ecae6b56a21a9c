"""Launches the server's process: its folders, its launch file, and its last output if it failed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from streamcli.errors import Unusable, from_os_error
from streamcli.java import archive
from streamcli.java.detached import start_detached
from streamcli.java.which import libjvm, version_flags
from streamcli.server import credentials, data, parts, state
from streamcli.server.credentials import Credentials
from streamcli.server.state import Ports, ServerOptions
from streamcli.system import private_files
from streamcli.system.paths import ensure_dir

_JVM_FLAGS = (
    # Fast to start and small rather than fast at full load: measured in docs/decisions/0002-embedded-server.md.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # no /tmp/hsperfdata_*
    "-XX:+ExitOnOutOfMemoryError",  # a dead server is recognized, a half-dead one is not
    "-Xrs",  # signals end it at once: it always ends as if by a crash, so a crash is nothing special
)

_DURABLE_MEMORY = ("-Xmx256m", "-XX:MaxDirectMemorySize=400m")
_CLASSES = "classes.lst"  # the classes that a start has loaded
_IN_MEMORY = ("-Xmx1g", "-XX:MaxDirectMemorySize=1g")  # this memory holds the log itself


def program() -> list[str]:
    """Return the command that runs the server's process, without its one argument."""
    return [sys.executable, "-m", "streamcli.server.jvm"]


def launch(java: Path, jars: list[Path], ports: Ports, choice: ServerOptions) -> int:
    """Start the server on ``ports``, detached from this process and its terminal, and return its pid.

    Raises Unusable when Java can't be started or the data folder can't be used, CannotCreate or FileTrouble for files.
    """
    home, folder = state.folder(), data_folder(choice)
    _check_names(home, folder, jars[0].parent)
    prepare(home)
    data.prepare(folder)
    secret = credentials.ensure()
    for name, target in ((parts.DATA, folder), (parts.JARS, jars[0].parent)):
        _link(home / name, target.absolute())
    parts.write_files(home, ports, choice, secret)
    private_files.write(state.launch_path(), json.dumps(_told(java, jars, ports, choice, secret)))
    return start_detached([*program(), str(state.launch_path())], home, state.console_path())


def _check_names(*folders: Path) -> None:
    """Raise Unusable for a folder whose name Java can't decode: Java would use another name."""
    for folder in folders:
        name = os.fsencode(os.path.realpath(folder))
        try:
            name.decode("utf-8")
        except UnicodeDecodeError as error:
            shown = name.decode("ascii", "backslashreplace")
            raise Unusable(
                f"The folder {shown} has a name that is not UTF-8, and Java can't use it. Rename it, or name another."
            ) from error


def data_folder(choice: ServerOptions) -> Path:
    """Return where a server of ``choice`` writes; in memory only ZooKeeper writes, and its data is thrown away."""
    if not choice.durable:
        return state.folder() / "tmp" / "memory"
    return Path(choice.data) if choice.data else data.default_folder()


def _told(java: Path, jars: list[Path], ports: Ports, choice: ServerOptions, secret: Credentials) -> dict[str, object]:
    """Return the content of the launch file, which streamcli/server/jvm.py reads.

    Its paths are relative to the server's folder, in which the process starts. So no path of the user's reaches a
    configuration file or a JVM flag, and none needs the escapes of properties files, logback or the class path.
    """
    return {
        "jvm": str(libjvm(java)),
        "flags": [
            *_JVM_FLAGS,
            *(_DURABLE_MEMORY if choice.durable else _IN_MEMORY),
            *version_flags(java),
            *_class_sharing(archive.archive_path(java, jars)),
            "-XX:ErrorFile=log/jvm-crash.log",
            "-Djava.io.tmpdir=tmp",
        ],
        "classpath": [f"{parts.JARS}/{jar.name}" for jar in jars],
        "properties": parts.properties(ports, choice, secret),
        "ports": vars(ports),
        "zookeeper": "zookeeper.properties",
        "bookie": _bookie_file() if choice.durable else None,
        "data": parts.DATA,
        "health": state.health_path().name,
    }


def _class_sharing(target: Path) -> list[str]:
    """Return the flags to use the archive of the server's classes, or else to list them in the server's folder."""
    return archive.using(target, f"{parts.JARS}/{target.name}") if target.exists() else archive.listing(_CLASSES)


def make_archive_later(java: Path, jars: list[Path]) -> None:
    """Build the archive of the server's classes in the background, from the list of the start that is now ready."""
    home = state.folder()
    try:
        classes = (home / _CLASSES).read_bytes()
        (home / _CLASSES).unlink()
    except OSError:
        return
    archive.build_later(java, jars, classes, home, parts.JARS)


def _bookie_file() -> str:
    """Return the bookie's configuration path: the bookie makes a URL of the absolute path, and fails at a % in it."""
    here = "/proc/self/cwd"  # in the server's process
    return f"{here}/bookie.properties" if os.path.lexists(here) else "bookie.properties"


def _link(link: Path, target: Path) -> None:
    """Make ``link`` a symbolic link to ``target``, replacing an older link."""
    fresh = link.with_name(link.name + ".new")
    try:
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)
    except OSError as error:
        raise from_os_error(error, link) from error


def prepare(home: Path) -> None:
    """Create the server's own folders with an empty ``tmp``, and a fresh log beside the last one."""
    try:
        clean(home)
        for name in ("tmp", "log"):
            ensure_dir(home / name)
        log = state.log_path()
        if log.exists():  # so that the log holds only lines of this start
            log.replace(log.with_name(log.name + ".1"))
        state.console_path().unlink(missing_ok=True)  # a new file, so that who follows the old one notices
    except OSError as error:
        raise from_os_error(error, home) from error


def clean(home: Path) -> None:
    """Remove the files that an ended server leaves beside its data."""
    shutil.rmtree(home / "tmp", ignore_errors=True)
    state.health_path().unlink(missing_ok=True)


def port_was_taken() -> bool:
    """Return whether the current start found one of its ports taken."""
    return any("Address already in use" in _text(path) for path in (state.log_path(), state.console_path()))


def last_words() -> str:
    """Return the most telling line of a failed start: the first error, else the last line, else ""."""
    lines = [
        line.strip() for path in (state.console_path(), state.log_path()) for line in _text(path).splitlines() if line
    ]
    telling = [line for line in lines if line.startswith(("Error", "Exception", "Caused by")) or " ERROR " in line]
    return (telling or lines[-1:] or [""])[0][:300]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
