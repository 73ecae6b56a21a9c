"""Addresses of logs: the controller's URL, the account, the scope and the stream."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from streamcli.errors import UsageError

DEFAULT_SCOPE = "scope"
DEFAULT_STREAM = "stream"


@dataclass(frozen=True)
class Login:
    """A Pravega account. Its repr does not contain the password."""

    user: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The account as HTTP's Basic takes it: encoded, not encrypted."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Controller:
    """The address of a Pravega controller, and the account for it (None: no authentication)."""

    host: str
    port: int
    login: Login | None = None
    tls: bool = False
    ca: str | None = None  # PEM file with the CA certificates for TLS; None: the system's

    @property
    def url(self) -> str:
        """The URL in the client library's form, without the account."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'tcp'}://{host}:{self.port}"


@dataclass(frozen=True)
class Stream:
    """The full name of a stream."""

    scope: str = DEFAULT_SCOPE
    stream: str = DEFAULT_STREAM

    def __str__(self) -> str:
        return f"{self.scope}/{self.stream}"


def parse_url(text: str) -> Controller:
    """Parse ``tcp://host:port`` or ``tls://host:port``. Raises UsageError for anything else."""
    form = "a controller's URL looks like tcp://127.0.0.1:9090 or tls://chat.example.org:9090"
    if "@" in text:  # do not repeat the text: it may contain a password
        raise UsageError(f"An account does not belong in a URL, where others can see it; {form}.")
    if "://" not in text:
        raise UsageError(f"{text!r} is not a URL: {form}.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{text!r} is not a URL with a valid port: {form}.") from None
    if parts.scheme not in ("tcp", "tls"):
        raise UsageError(f"{text!r}: the scheme {parts.scheme!r} is unknown; {form}.")
    if not host or not port or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{text!r} must have a host, a port and nothing else; {form}.")
    if parts.scheme == "tls" and _is_ip(host):
        raise UsageError(f"{text!r}: TLS needs the server's name, not its IP address; {form}.")
    return Controller(host, port, tls=parts.scheme == "tls")


def _is_ip(host: str) -> bool:
    # The client library checks host names only, even if the certificate contains IP addresses.
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
