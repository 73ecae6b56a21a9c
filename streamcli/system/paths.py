"""Paths of files: the platform's own folders, created with mode 0700 when first needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

import platformdirs

from streamcli.errors import CannotCreate, Unusable, from_os_error

APP = "streamcli"
MAX_PART: Final = 200  # bytes of a folder's name; file systems allow 255
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-")


def cache_dir() -> Path:
    """Return the folder for files that can be downloaded again (the server's jars); it may not exist yet."""
    return _absolute(platformdirs.user_cache_dir)


def state_dir() -> Path:
    """Return the folder for state and logs of this machine (server state, input history, locks); it may not exist."""
    return _absolute(platformdirs.user_state_dir)


def data_dir() -> Path:
    """Return the folder for valuable data (histories, outboxes); it may not exist yet."""
    return _absolute(platformdirs.user_data_dir)


def embedded_server_record() -> Path:
    """Return the file that exists once the embedded server was started on this machine."""
    return state_dir() / "server" / "state.json"


def gate_dir() -> Path:
    """Return the folder of the gate's keys and guests; no user's history has a folder of this name."""
    return data_dir() / "_gate"


def gate_state_dir() -> Path:
    """Return the folder of the running gate's lock, state and output."""
    return state_dir() / "gate"


def config_file() -> Path:
    """Return the settings file's path; it need not exist."""
    return _absolute(platformdirs.user_config_dir) / "config.toml"


def ensure_dir(folder: Path) -> Path:
    """Create ``folder`` if missing, and return it; raise CannotCreate or FileTrouble when that fails.

    New folders have mode 0700 whatever the umask is. Folders of ours that others can enter are closed to them.
    """
    ours = (cache_dir(), state_dir(), data_dir())
    for step in (*reversed(folder.parents), folder):
        try:
            with contextlib.suppress(FileExistsError):
                step.mkdir(mode=0o700)
            if any(step.is_relative_to(one) for one in ours) and step.stat().st_mode & 0o077:
                step.chmod(0o700)
        except OSError as error:
            # We may not be able to create (EROFS) or to inspect an existing parent.
            if step == folder or not step.is_dir():
                raise from_os_error(error, folder) from error
    if not folder.is_dir():
        raise CannotCreate(f"Can't make the folder {folder}: a file of that name is there. Move it away.")
    return folder


def folder_name(text: str) -> str:
    """Turn any text into a folder name; different texts differ, even on file systems that ignore case."""
    name = "".join(chr(byte) if byte in _PLAIN else f".{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))
    if name and len(name) <= MAX_PART:
        return name
    # Elsewhere two hex digits always follow a '.', so this can't be another text's name.
    return f"{name[: MAX_PART - 40]}.x-{blake2b(name.encode(), digest_size=16).hexdigest()}"


def _absolute(folder: Callable[..., str]) -> Path:
    home = os.environ.get("HOME")
    try:
        path = Path(folder(APP, appauthor=False))
    except RuntimeError:
        path = Path()  # the home folder is unknown
    if not path.is_absolute() or (home and not Path(home).is_absolute()):
        raise Unusable(
            "There is no home folder to keep files in: set HOME (and XDG variables, if any) to an absolute path."
        )
    return path
