"""The server's jars: a lock file says which they are; what is missing is fetched, verified and kept in the cache."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamcli import paths
from streamcli.errors import Unusable, from_os_error
from streamcli.server.progress import Progress

LOCK_FILE = Path(__file__).with_name("jars.txt")
_VERIFIED = "verified"
_PARTIAL = "partial-"


@dataclass(frozen=True)
class Jar:
    """One line of the lock file."""

    group: str
    artifact: str
    version: str
    classifier: str | None
    sha256: str
    size: int  # bytes

    @property
    def name(self) -> str:
        """The file's name, as in a Maven repository."""
        return "-".join(filter(None, (self.artifact, self.version, self.classifier))) + ".jar"


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """The jars that ``path`` lists, in its order; raise Unusable when a line can't be understood."""
    jars = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            coordinate, sha256, size = line.split()
            group, artifact, version, *classifier = coordinate.split(":")
            jars.append(Jar(group, artifact, version, classifier[0] if classifier else None, sha256, int(size)))
        except ValueError as error:
            raise Unusable(f"Line {number} of {path} is no jar with its checksum and size.") from error
    return jars


def default_folder() -> Path:
    """Where the jars of this Pravega version are kept; it may not exist yet."""
    return paths.cache_dir() / "jars" / "pravega-0.13.0"


def ensure_jars(progress: Progress, lock: Path = LOCK_FILE, folder: Path | None = None) -> list[Path]:
    """All jars of ``lock``, verified, in its order; what is missing is fetched into ``folder`` first.

    The order is part of the result: two of the jars may hold the same class, so it must not be left to the file system.

    Raises Unreachable (no network), FileTrouble (disk full, or a checksum is wrong) and CannotCreate. When interrupted,
    finished jars stay and the next call goes on from there.
    """
    folder = folder or default_folder()
    jars = read_lock(lock)
    seal = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not _complete(folder, jars, seal):
        paths.made(folder)
        try:
            with _only_one(folder, progress):
                if not _complete(folder, jars, seal):  # another process may have done it meanwhile
                    _complete_folder(folder, jars, progress)
                    (folder / _VERIFIED).write_text(seal)
        except OSError as error:
            raise from_os_error(error, folder) from error
    return [folder / jar.name for jar in jars]


def _complete(folder: Path, jars: list[Jar], seal: str) -> bool:
    """Whether all was verified before and still has its size: one stat each, so it costs a few ms at each start."""
    try:
        return (folder / _VERIFIED).read_text() == seal and all(
            (folder / jar.name).stat().st_size == jar.size for jar in jars
        )
    except (OSError, UnicodeDecodeError):
        return False


@contextmanager
def _only_one(folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the folder's lock; a second process waits here, and goes on at once when the first one dies."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.stage("another terminal is fetching the server's jars, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _complete_folder(folder: Path, jars: list[Jar], progress: Progress) -> None:
    for left_over in folder.glob(_PARTIAL + "*"):
        shutil.rmtree(left_over, ignore_errors=True)
    missing = [jar for jar in jars if not is_good(folder / jar.name, jar)]
    if not missing:
        return
    from streamcli.server.fetch import fetch  # it takes long to import, and only the first start needs it

    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=folder))
    try:
        fetch(missing, partial, folder, progress, already=sum(jar.size for jar in jars) - sum(j.size for j in missing))
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_good(path: Path, jar: Jar) -> bool:
    """Whether ``path`` is the file that the lock file means, to the last bit."""
    try:
        if path.stat().st_size != jar.size:
            return False
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == jar.sha256
