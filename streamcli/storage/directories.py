"""Paths of a user's histories and outboxes, and the map from each address to the log last seen behind it.

Below the data folder, ``USER/logs/LOG/`` holds a log's history and word index, ``USER/outbox/ADDRESS/`` the messages
waiting for an address, and ``USER/addresses.json`` maps addresses to logs, so that a start can show the last screenful
before the network is up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

from streamcli.errors import from_os_error
from streamcli.model.address import Controller, Stream
from streamcli.model.joined_chat import KEY as GATE
from streamcli.model.joined_chat import JoinedChat
from streamcli.model.ssh_host import SshHost
from streamcli.storage.database import ensure_private
from streamcli.system import private_files
from streamcli.system.locks import locked
from streamcli.system.paths import data_dir, folder_name

EMBEDDED: Final = "embedded"
ADDRESS: Final = "address"  # the file beside an outbox that records its address
OWN: Final = "own-"  # prefix of the ids that we generate


def address_key(where: Controller | JoinedChat | SshHost | None, stream: Stream) -> str:
    """Return the key of a stream at an address; None means the embedded server."""
    return f"{where.key if where else EMBEDDED} {stream}"


def new_log_id(random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """Generate an id for a log that has none in its tags, or that lost its earlier content."""
    return f"{OWN}{random_bytes(8).hex()}"


class Places:
    """The folders of one user below ``root``. Thread-safe; calls may wait for the disk, never for the network.

    All calls raise CannotCreate or FileTrouble when the folders can't be used.
    """

    def __init__(self, user: str, root: Path | None = None) -> None:
        self._root = data_dir() if root is None else root
        self._user = self._root / folder_name(user)

    def history(self, log: str) -> Path:
        """Return the history folder of the log with this id; create it if missing."""
        return ensure_private(self._root, self._user / "logs" / folder_name(log))

    def outbox(self, address: str) -> Path:
        """Return the folder of messages waiting to be sent to this address; create it if missing."""
        folder = ensure_private(
            self._root, self._user / "outbox" / blake2b(address.encode(), digest_size=12).hexdigest()
        )
        named = folder / ADDRESS
        if not named.exists():
            private_files.write(named, address)
        return folder

    def other_outboxes(self, address: str) -> list[tuple[str, Path]]:
        """List other addresses' outboxes as (address, folder); the address is "" for an older version's outbox."""
        own = self.outbox(address)
        try:
            return [(_address_of(folder), folder) for folder in sorted(own.parent.iterdir()) if folder != own]
        except OSError as error:
            raise from_os_error(error, own.parent) from error

    def log_at(self, address: str) -> str | None:
        """Return the id of the log last seen behind ``address``; None if it was never visited."""
        return self._addresses().get(address)

    def remember(self, address: str, log: str) -> None:
        """Record that this log is behind ``address`` now. The file is replaced atomically; no reader sees a part."""
        folder = ensure_private(self._root, self._user)
        with locked(folder / "addresses.lock"):
            known = self._addresses()
            if known.get(address) == log:
                return
            private_files.write(folder / "addresses.json", json.dumps(known | {address: log}, indent=1))

    def _addresses(self) -> dict[str, str]:
        path = self._user / "addresses.json"
        try:
            known = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise from_os_error(error, path) from error
        except (ValueError, RecursionError):
            return {}  # costs only one screenful, which comes from the network instead
        if not isinstance(known, dict):
            return {}
        return {address: log for address, log in known.items() if isinstance(log, str)}


def place_of(address: str) -> str:
    """Describe an address (address_key) for the user."""
    url, _, stream = address.partition(" ")
    if not address:
        return "another address"
    if url.startswith(GATE):
        return f"a chat that you joined, {stream}"
    return f"{'the embedded server' if url == EMBEDDED else url}, {stream}"


def _address_of(folder: Path) -> str:
    try:
        return (folder / ADDRESS).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
