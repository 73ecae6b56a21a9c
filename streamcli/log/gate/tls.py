"""A guest's side of TLS: the one certificate that is trusted is the gate's, and it was pinned on joining."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from streamcli.errors import FileTrouble
from streamcli.model.joined_chat import JoinedChat

VERSION: Final = 1  # of what guest and gate say to each other
LOG_PROTOCOL: Final = "streamcli-log/1"
JOIN_PROTOCOL: Final = "streamcli-join/1"
OWNER_PROTOCOL: Final = "streamcli-owner/1"  # for the owner's own commands
GATE_NAME: Final = "streamcli gate"  # in its certificate
MY_KEY, MY_CERTIFICATE, GATE_CERTIFICATE = "my.key", "my.crt", "gate.crt"


def guest_context(chat: JoinedChat) -> ssl.SSLContext:
    """Return the context of a guest who has joined. Raises FileTrouble if key or certificates can't be used."""
    folder: Path = chat.folder
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate is the gate's, wherever the gate is
    try:
        context.load_verify_locations(folder / GATE_CERTIFICATE)
        context.load_cert_chain(folder / MY_CERTIFICATE, folder / MY_KEY)
    except (OSError, ssl.SSLError) as error:
        raise FileTrouble(
            f"The files of the chat {chat.name} in {folder} can't be used ({error}). Ask for a new invitation."
        ) from error
    context.set_alpn_protocols([LOG_PROTOCOL])
    return context


def joining_context() -> ssl.SSLContext:
    """Return the context of somebody who joins, and compares the pin before saying anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([JOIN_PROTOCOL])
    return context
