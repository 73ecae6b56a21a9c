"""The lock file ``jars.txt``: the jars of server and client, each with its SHA-256 and size."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from streamcli.errors import Unusable

LOCK_FILE = Path(__file__).with_name("jars.txt")


@dataclass(frozen=True)
class Jar:
    """One line of the lock file."""

    group: str
    artifact: str
    version: str
    classifier: str | None
    sha256: str
    size: int  # bytes
    client: bool = False  # whether a client of the log needs it too

    @property
    def name(self) -> str:
        """The file's name, as in a Maven repository."""
        return "-".join(filter(None, (self.artifact, self.version, self.classifier))) + ".jar"


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """Return the jars that ``path`` lists, in its order; raise Unusable when a line is invalid."""
    jars = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            coordinate, sha256, size, *users = line.split()
            group, artifact, version, *classifier = coordinate.split(":")
            if users not in ([], ["client"]):
                raise ValueError(users)
            name = classifier[0] if classifier else None
            jars.append(Jar(group, artifact, version, name, sha256, int(size), bool(users)))
        except ValueError as error:
            raise Unusable(f"Line {number} of {path} is no jar with its checksum and size.") from error
    return jars


def is_good(path: Path, jar: Jar) -> bool:
    """Return whether ``path`` is exactly the file that the lock file specifies."""
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
