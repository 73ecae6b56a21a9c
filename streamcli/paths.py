"""Where files lie: the platform's own folders, made with mode 0700 when they are first needed."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from streamcli.errors import from_os_error

APP = "streamcli"


def cache_dir() -> Path:
    """Folder for what can be fetched again (the server's jars); it may not exist yet."""
    return Path(platformdirs.user_cache_dir(APP, appauthor=False))


def state_dir() -> Path:
    """Folder for state and logs of this machine (server state, input history, locks); it may not exist yet."""
    return Path(platformdirs.user_state_dir(APP, appauthor=False))


def config_file() -> Path:
    """The settings file; it need not exist."""
    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.toml"


def made(folder: Path) -> Path:
    """Make ``folder`` (0700) if it is missing and return it; raise CannotCreate or FileTrouble when that fails."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, folder) from error
    return folder
