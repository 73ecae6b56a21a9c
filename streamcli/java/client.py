"""How a client of the log starts the JVM for Pravega's Java client: its library, its flags and the class path."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamcli.errors import StreamcliError, Unusable
from streamcli.java import archive
from streamcli.java.jars import default_folder, ensure_jars, needed
from streamcli.java.progress import Progress
from streamcli.java.which import java, libjvm, version_flags

_FLAGS = (
    "-Xmx40m",  # a host in use stays below 24 MB of heap; the rest is for connections that end late
    "-Xmn4m",  # what a read takes is garbage at once; a larger young generation would only be touched for nothing
    "-Xss256k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xrs",  # signals are Python's
    "-XX:-UsePerfData",  # no /tmp/hsperfdata_*
    "-XX:+ExitOnOutOfMemoryError",  # a dead process is replaced, a half-dead one is not
)
# Only a list with one of these is of a run that was connected; one of less would make an archive that is used for ever.
# Runs that only read or only write load all but 2 % of the classes.
_CONNECTED = (
    b"\nio/pravega/client/segment/impl/SegmentInputStreamImpl",
    b"\nio/pravega/client/segment/impl/SegmentOutputStr",
)


@dataclass(frozen=True)
class JavaRuntime:
    """How to start the JVM: ``jpype.startJVM(str(jvm), *flags, classpath=classpath)``. All paths are absolute."""

    jvm: Path  # the library
    flags: list[str]
    classpath: list[str]


def client_runtime(progress: Progress) -> JavaRuntime:
    """Return how a client starts its JVM; fetch the jars that it needs, 31 files with 21 MB, if they are missing.

    The flags use the archive of the client's classes if there is one. If not, each process lists its classes in a file
    of its own, which :func:`make_archive_later` builds the archive from; lists of earlier processes are used at once.

    Raises Unusable without a Java, Unreachable when jars can't be fetched, CannotCreate and FileTrouble for files.
    """
    which, jars = java(), ensure_jars(progress, client=True)
    folder = jars[0].parent
    if os.pathsep in str(folder):
        raise Unusable(f"The folder {folder} has a colon in its name, which Java can't use. Set XDG_CACHE_HOME.")
    make_archive_later()
    flags = [*_FLAGS, *version_flags(which), *_class_sharing(archive.archive_path(which, jars))]
    return JavaRuntime(libjvm(which), flags, [str(jar) for jar in jars])


def make_archive_later() -> None:
    """Build the archive of the client's classes in the background, if it is missing and a client has left a list.

    Call it when a client has read or written for some seconds, or has ended. It takes a few ms and never fails, as it
    only affects speed. The list of a client that was not connected is not used.
    """
    with suppress(OSError, StreamcliError):
        which, folder = java(), default_folder()
        jars = [folder / jar.name for jar in needed(client=True)]
        target = archive.archive_path(which, jars)
        lists = {path: path.read_bytes() for path in folder.glob(_list_of(target, "*"))}
        whole = [classes for classes in lists.values() if any(name in classes for name in _CONNECTED)]
        built = bool(whole) and archive.build_later(which, jars, max(whole, key=len), Path("/"), str(folder))
        for path in lists:
            if built or target.exists() or not _lives(path):
                path.unlink(missing_ok=True)


def _class_sharing(target: Path) -> list[str]:
    name = str(target)
    if not name.isascii() or "%" in name or not os.access(target.parent, os.W_OK):
        return []  # JPype turns class sharing off for such a name; a % has a meaning in that of a list
    if target.exists():
        return archive.using(target, name)
    return archive.listing(str(target.with_name(_list_of(target, "%p"))))


def _list_of(target: Path, process: str) -> str:
    return f"{target.stem}.{process}.loaded"


def _lives(path: Path) -> bool:
    """Return whether the process that writes the list ``path`` lives: Java puts ``pid123`` for the ``%p`` in a name."""
    try:
        os.kill(int(path.name.split(".")[1].removeprefix("pid")), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True
