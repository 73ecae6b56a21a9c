"""The server's class data archive (CDS): with it Java starts in about half the time and with half the work.

The first start lists the classes it loads; when the server is ready, a detached process of the lowest priority builds
the archive from that list. Later starts use it. Java itself checks that it fits and ignores it if not.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from streamcli.server.parts import JARS

_LIST = "classes.lst"
_KEPT_UNUSED = 30 * 86400.0  # seconds


def flags(java: Path, jars: list[Path]) -> list[str]:
    """Return the JVM flags for a start: use the archive if present, else list the classes in the server's folder.

    Paths are relative to that folder: the JVM treats a colon in an archive's name as a separator.
    """
    archive = archive_path(java, jars)
    if archive.exists():
        with suppress(OSError):
            os.utime(archive)
        # Without the check a damaged archive could crash every start.
        return [f"-XX:SharedArchiveFile={JARS}/{archive.name}", "-XX:+VerifySharedSpaces"]
    return [f"-XX:DumpLoadedClassList={_LIST}"]


def archive_path(java: Path, jars: list[Path]) -> Path:
    """Return the archive's path for exactly this Java and these jar files; it may not exist yet."""
    names = (str(java), *(jar.name for jar in jars))
    files = [
        (name, path.stat().st_mtime_ns, path.stat().st_size) for name, path in zip(names, (java, *jars), strict=True)
    ]
    return jars[0].with_name(f"classes-{hashlib.sha256(repr(files).encode()).hexdigest()[:16]}.jsa")


def make_later(java: Path, jars: list[Path], home: Path) -> None:
    """Build the archive in the background if it is missing and a start has left its list in ``home``.

    That takes some ten seconds of one core and 75 MB; it only affects speed, so failures are silent.
    """
    archive, classes = archive_path(java, jars), home / _LIST
    if archive.exists() or not classes.exists() or not os.access(archive.parent, os.W_OK):
        return
    for other in archive.parent.glob("classes-*.jsa"):  # of another Java, perhaps removed
        with suppress(OSError):
            if time.time() - other.stat().st_mtime > _KEPT_UNUSED:
                other.unlink()
    fresh = archive.with_suffix(f".{os.getpid()}.new")
    command = [
        str(java),
        "-Xshare:dump",
        "-XX:+UseSerialGC",  # like the server: the archive's objects fit one collector only
        f"-XX:SharedClassListFile={_LIST}",
        f"-XX:SharedArchiveFile={JARS}/{fresh.name}",
        "-XX:-UsePerfData",
        "-cp",
        os.pathsep.join(f"{JARS}/{jar.name}" for jar in jars),
    ]
    # Only a finished archive gets its final name.
    script = 'new=$1 archive=$2 list=$3; shift 3; { "$@" && mv -f "$new" "$archive"; rm -f "$new" "$list"; } &'
    with suppress(OSError):
        subprocess.run(
            ["/bin/sh", "-c", script, "sh", str(fresh), str(archive), str(classes), "nice", "-n", "19", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=home,
            start_new_session=True,
            check=False,
        )
