"""The embedded server's own account: created once and kept in a file that only its user can read."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from streamcli.model.address import Login
from streamcli.server import state
from streamcli.system import paths, private_files

USER = "streamcli"
# Rounds slow down guessing; this password has 256 random bits and can't be guessed. The server computes them at every
# call, so the 5,000 of Pravega's own tool would cost each call about 30 ms.
_ROUNDS = 1
_BYTES = 32


@dataclass(frozen=True)
class Credentials:
    """All secrets of the embedded server; Python's representations of it omit them."""

    password: str = field(repr=False)  # of the only account, which may do everything
    signing_key: str = field(repr=False)  # the controller signs tokens with it, which the segment store accepts
    zookeeper: str = field(repr=False)  # password of ZooKeeper, which only the server's parts use

    @property
    def login(self) -> Login:
        """The account as a client needs it."""
        return Login(USER, self.password)


def path() -> Path:
    """Return the path of the secrets; the file need not exist."""
    return state.folder() / "credentials.json"


def read() -> Credentials | None:
    """Read the stored secrets; None if there are none that can be used."""
    try:
        fields = json.loads(path().read_text(encoding="utf-8"))
        return Credentials(*(str(fields[name]) for name in Credentials.__dataclass_fields__))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def ensure() -> Credentials:
    """Return the stored secrets, created first if there are none. Raises CannotCreate and FileTrouble."""
    if found := read():
        return found
    fresh = Credentials(*(secrets.token_urlsafe(_BYTES) for _ in Credentials.__dataclass_fields__))
    paths.ensure_dir(state.folder())
    private_files.write(path(), json.dumps(asdict(fresh)))
    return fresh


def account_line(login: Login) -> str:
    """Return the line of Pravega's account file that lets ``login`` do everything; it has only the password's hash."""
    salt = secrets.token_bytes(16)
    digest = hashlib.pbkdf2_hmac("sha256", login.password.encode(), salt, _ROUNDS, 64)
    return f"{login.user}:{f'{_ROUNDS}:{salt.hex()}:{digest.hex()}'.encode().hex()}:prn::*,READ_UPDATE;\n"
