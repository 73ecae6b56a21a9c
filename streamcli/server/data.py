"""The durable server's data folder: its owner, its lock, and its free space."""

from __future__ import annotations

import shutil
from pathlib import Path

from streamcli.errors import CannotCreate, FileTrouble, Unusable, from_os_error
from streamcli.system import locks, paths
from streamcli.system.clock import SYSTEM, Clock

FORMAT = "format"  # the file that marks the folder as ready for use
LOCK = "lock"  # held by the server's process as long as it lives
PARTS = ("zookeeper", "journal", "ledgers", "storage")
LOW = 500_000_000  # bytes of free space below which the user is warned
FLOOR = 150_000_000  # bytes below which no server is started: a bookie needs room to report that it has none
_LAST_BREATH = 3.0  # seconds


def default_folder() -> Path:
    """Return the durable server's default data folder; it need not exist."""
    return paths.data_dir() / "server"


def prepare(folder: Path, clock: Clock = SYSTEM) -> None:
    """Create ``folder`` if missing, for its owner only.

    Raises Unusable when it holds foreign files or another server uses it, FileTrouble when its disk is full.
    """
    paths.ensure_dir(folder)
    try:
        strange = [one.name for one in folder.iterdir() if one.name not in (*PARTS, FORMAT, LOCK)]
        # The histories of a user named "server" are beside the data; their names never equal ours.
        if strange and folder != default_folder() and not (folder / FORMAT).exists():
            raise Unusable(
                f"{folder} holds other files ({strange[0]}): name an empty folder, or one with a server's data."
            )
        if (folder / FORMAT).exists() and not any((folder / PARTS[0]).glob("*")):
            # Earlier versions wrote to another folder if the name was not plain ASCII.
            raise Unusable(
                f"{folder} was in use, but its data is not there. Empty it, or name another with --data-dir."
            )
        if _stays_locked(folder, clock):
            raise Unusable(f"The data folder {folder} is in use by another server. Stop that one, or name another.")
        folder.chmod(0o700)
        for part in PARTS:
            paths.ensure_dir(folder / part)
    except PermissionError as error:
        raise CannotCreate(
            f"The data folder {folder} belongs to somebody else. Name another with --data-dir."
        ) from error
    except OSError as error:
        raise from_os_error(error, folder) from error
    if (left := free(folder)) < FLOOR:
        raise FileTrouble(
            f"The disk is full: {words(left)} are left for {folder}, and the embedded server needs {words(FLOOR)}. "
            "Free some space and try again."
        )


def _stays_locked(folder: Path, clock: Clock) -> bool:
    # A killed process counts as gone while its threads still end, but holds the lock until the last one has.
    end = clock.monotonic() + _LAST_BREATH
    while is_locked(folder):
        if clock.monotonic() > end:
            return True
        clock.sleep(0.05)
    return False


def is_locked(folder: Path) -> bool:
    """Return whether a server uses ``folder`` now."""
    return locks.is_held(folder / LOCK)


def free(folder: Path) -> int:
    """Return how many bytes this user can still write at ``folder``."""
    return shutil.disk_usage(folder).free


def warning(folder: Path) -> str | None:
    """Return a sentence when the disk of ``folder`` is nearly full, else None."""
    try:
        left = free(folder)
    except OSError:
        return None
    return f"The disk runs full: only {words(left)} are left for {folder}." if left < LOW else None


def words(size: int) -> str:
    """Format a number of bytes for display."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
