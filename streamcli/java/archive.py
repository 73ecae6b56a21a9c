"""Class data archives (CDS): with one, Java starts in about half the time and with half the work.

A start without an archive has Java list the classes that it loads. From the list of one such run a detached process
of the lowest priority builds the archive, which later starts use. Java itself checks that it fits, and ignores it if
not. Lists of several runs can't be merged: Java 21 and later refuse that.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from streamcli.system import locks

_KEPT_UNUSED = 30 * 86400.0  # seconds


def archive_path(java: Path, jars: list[Path]) -> Path:
    """Return the archive's path for exactly this Java and these jar files; it may not exist yet."""
    names = (str(java), *(jar.name for jar in jars))
    files = [
        (name, path.stat().st_mtime_ns, path.stat().st_size) for name, path in zip(names, (java, *jars), strict=True)
    ]
    return jars[0].with_name(f"classes-{hashlib.sha256(repr(files).encode()).hexdigest()[:16]}.jsa")


def using(archive: Path, shown: str) -> list[str]:
    """Return the JVM flags that use ``archive``, which exists; ``shown`` is its path as the JVM is to see it."""
    with suppress(OSError):
        os.utime(archive)
    # Without the check a damaged archive could crash every start.
    return [f"-XX:SharedArchiveFile={shown}", "-XX:+VerifySharedSpaces"]


def listing(shown: str) -> list[str]:
    """Return the JVM flag that lists the classes of a start in the file ``shown``; ``%p`` in it is the process's id."""
    return [f"-XX:DumpLoadedClassList={shown}"]


def build_later(
    java: Path, jars: list[Path], classes: bytes, cwd: Path, where: str, now: Callable[[], float] = time.time
) -> bool:
    """Build the archive in the background from ``classes``, the list that one run has written so far.

    ``where`` is the jars' folder as those who will use the archive see it, from ``cwd``: Java compares the paths.
    Return False when there is an archive already, when another process is at it, or when the folder can't be written.
    That takes some ten seconds of one core; it only affects speed, so failures are silent.
    """
    archive = archive_path(java, jars)
    if archive.exists() or not os.access(archive.parent, os.W_OK):
        return False
    _forget_unused(archive.parent, now())
    fresh, listed, lock = (archive.with_suffix(suffix) for suffix in (".new", ".lst", ".lock"))
    command = [
        str(java),
        "-Xshare:dump",
        "-XX:+UseSerialGC",  # like those who use it: the archive's objects fit one collector only
        f"-XX:SharedClassListFile={where}/{listed.name}",
        f"-XX:SharedArchiveFile={where}/{fresh.name}",
        "-XX:-UsePerfData",
        "-cp",
        os.pathsep.join(f"{where}/{jar.name}" for jar in jars),
    ]
    # Only a finished archive gets its final name.
    script = (
        "new=$1 archive=$2 list=$3 lock=$4; shift 4; "
        '{ "$@" && mv -f "$new" "$archive"; rm -f "$new" "$list" "$lock"; } &'
    )
    names = [str(path) for path in (fresh, archive, listed, lock)]
    with suppress(OSError, subprocess.SubprocessError):
        if (held := locks.try_hold(lock)) is None:
            return False
        try:
            # A copy, without the last line, which may be cut: the JVM that writes the list may still be at it, and the
            # next one begins it anew.
            listed.write_bytes(classes[: classes.rfind(b"\n") + 1])
            subprocess.run(
                ["/bin/sh", "-c", script, "sh", *names, "nice", "-n", "19", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=cwd,
                start_new_session=True,
                pass_fds=(held,),  # so the lock is held until Java ends
                check=True,
            )
        finally:
            os.close(held)
        return True
    return False


def _forget_unused(folder: Path, now: float) -> None:
    """Delete archives of a Java that is perhaps removed, and what a build that was ended has left."""
    for other in folder.glob("classes-*"):
        with suppress(OSError):
            if now - other.stat().st_mtime > _KEPT_UNUSED:
                other.unlink()
