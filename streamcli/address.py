"""Which log: the controller's URL, the scope and the stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from streamcli.errors import UsageError

DEFAULT_SCOPE = "scope"
DEFAULT_STREAM = "stream"


@dataclass(frozen=True)
class Login:
    """A Pravega account. The password stands in no text that Python makes of it."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Controller:
    """Where a Pravega controller listens, and as whom to speak to it (None: it asks for no password)."""

    host: str
    port: int
    login: Login | None = None

    @property
    def url(self) -> str:
        """The URL in the form the client library takes."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


@dataclass(frozen=True)
class Stream:
    """A stream's full name."""

    scope: str = DEFAULT_SCOPE
    stream: str = DEFAULT_STREAM

    def __str__(self) -> str:
        return f"{self.scope}/{self.stream}"


def parse_url(text: str) -> Controller:
    """Read ``tcp://host:port``; raise UsageError for anything else."""
    form = "a controller's URL looks like tcp://127.0.0.1:9090"
    if "://" not in text:
        raise UsageError(f"{text!r} is no URL: {form}.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{text!r} is no URL with a valid port: {form}.") from None
    if parts.scheme == "tls":
        raise UsageError(f"{text!r}: TLS is not supported yet; {form}.")
    if parts.scheme != "tcp":
        raise UsageError(f"{text!r}: the scheme {parts.scheme!r} is unknown; {form}.")
    if not host or not port or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise UsageError(f"{text!r} needs a host and a port and nothing else; {form}.")
    return Controller(host, port)
