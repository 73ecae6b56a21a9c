"""Invitations: the line that an owner sends and a guest joins with. Pure.

``alex@192.168.1.20,chat.example.org:4483/psdehrz63oev…``: the guest's name, the addresses of the gate, and, in base32,
the first half of its certificate's fingerprint (the pin), a secret that can be used once, and a check of it all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from streamcli.errors import UsageError
from streamcli.model.names import valid_id

PIN_BYTES: Final = 16
SECRET_BYTES: Final = 16
_CHECK_BYTES: Final = 3
_BROKEN = "This is no whole invitation: it was cut or changed on its way. Ask for the line again."
_COMMAND = re.compile(r"\s*streamcli\s+join\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Invitation:
    """What an invitation says. Its repr does not contain the secret."""

    name: str
    hosts: tuple[str, ...]
    port: int
    pin: bytes
    secret: bytes = field(repr=False)

    @property
    def line(self) -> str:
        """The invitation as it is sent."""
        where, body = _where(self.name, self.hosts, self.port), self.pin + self.secret
        return f"{where}/{base64.b32encode(body + _check(where, body)).decode().lower()}"


def parse_invitation(text: str) -> Invitation:
    """Read an invitation, with or without ``streamcli join`` before it. Raises UsageError unless it is whole."""
    command = _COMMAND.match(text)
    line = "".join(text[command.end() if command else 0 :].split())  # a mail may have wrapped it
    where, _, code = line.rpartition("/")
    code = code.lower()
    try:
        name, _, places = where.rpartition("@")
        hosts, _, port = places.rpartition(":")
        whole = base64.b32decode(code.upper())
        body, check = whole[:-_CHECK_BYTES], whole[-_CHECK_BYTES:]
        invitation = Invitation(
            unquote(name, errors="strict"),
            tuple(hosts.split(",")),
            int(port),
            body[:PIN_BYTES],
            body[PIN_BYTES:],
        )
        intact = check == _check(where, body) and len(body) == PIN_BYTES + SECRET_BYTES
        intact = intact and invitation.line == f"{where}/{code}" and 0 < invitation.port < 65_536
    except (ValueError, binascii.Error):
        intact = False
    if not intact or valid_id(invitation.name) != invitation.name or not all(invitation.hosts):
        raise UsageError(_BROKEN)
    return invitation


def pin_of(certificate: bytes) -> bytes:
    """Return the pin of a certificate (DER)."""
    return hashlib.sha256(certificate).digest()[:PIN_BYTES]


def secret_hash(secret: bytes) -> str:
    """Return what is stored of a secret. It is random, so that a plain hash does not help to guess it."""
    return hashlib.sha256(b"streamcli secret 1\0" + secret).hexdigest()


def _where(name: str, hosts: Sequence[str], port: int) -> str:
    return f"{quote(name, safe='')}@{','.join(hosts)}:{port}"


def _check(where: str, body: bytes) -> bytes:
    return hashlib.sha256(b"streamcli join 1\0" + where.encode() + body).digest()[:_CHECK_BYTES]
