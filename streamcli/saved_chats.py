"""The chats of other people that were joined on this machine: a folder each, with our key and two certificates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from streamcli.errors import StreamcliError
from streamcli.model.joined_chat import JoinedChat
from streamcli.system import private_files
from streamcli.system.paths import data_dir, ensure_dir, folder_name

_FILE: Final = "joined.json"


def chats_folder() -> Path:
    """Return the folder of all joined chats; no user's history has a folder of this name."""
    return data_dir() / "_chats"


def folder_of(name: str) -> Path:
    """Return the folder of the chat that is called ``name``; it need not exist."""
    return chats_folder() / folder_name(name)


def saved_chats() -> list[JoinedChat]:
    """Return the chats, the one that was joined last first. What can't be read is left out. Raises Unusable."""
    try:
        folders = list(chats_folder().iterdir())
    except OSError:
        return []
    found = [chat for folder in folders if (chat := _read(folder))]
    return sorted(found, key=lambda chat: -chat.joined)


def saved_chat(name: str) -> JoinedChat | None:
    """Return the chat that is called ``name``, or None."""
    return _read(folder_of(name))


def save_chat(chat: JoinedChat) -> None:
    """Write what is known of a chat, and make its folder if it is missing. Raises CannotCreate or FileTrouble."""
    fields = {
        "name": chat.name,
        "guest": chat.guest,
        "places": chat.places,
        "pin": chat.pin,
        "stream": chat.stream,
        "joined": chat.joined,
    }
    private_files.write(ensure_dir(chat.folder) / _FILE, json.dumps(fields, indent=1))


def _read(folder: Path) -> JoinedChat | None:
    try:
        fields = json.loads((folder / _FILE).read_bytes())
        places = tuple((str(host), int(port)) for host, port in fields["places"])
        return JoinedChat(
            str(fields["name"]),
            str(fields["guest"]),
            folder,
            places,
            str(fields["pin"]),
            str(fields["stream"]),
            float(fields["joined"]),
        )
    except (OSError, ValueError, KeyError, TypeError, StreamcliError):
        return None
