"""Addresses of logs: the controllers' URL, the account, the scope and the stream."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit

from streamcli.errors import UsageError

DEFAULT_SCOPE = "scope"
DEFAULT_STREAM = "stream"


ClientName = Literal["wheel", "java"]  # how to speak to Pravega: the package pravega, or Pravega's Java client


@dataclass(frozen=True)
class WantedClient:
    """The client that somebody has asked for, and ``where``: in which variable or file; "" for an option."""

    name: ClientName
    where: str = ""

    def blamed(self, trouble: str) -> str:
        """Return the sentence ``trouble`` about this client, after one that says where to correct the setting."""
        return f"Check {self.where}. {trouble}" if self.where else trouble


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
    """The address of a Pravega controller, and the account for it (None: no authentication).

    ``others`` are further controllers of the same cluster: they know the same account, and any of them will do.
    """

    host: str
    port: int
    login: Login | None = None
    tls: bool = False
    ca: str | None = None  # PEM file with the CA certificates for TLS; None: the system's
    others: tuple[tuple[str, int], ...] = ()  # host and port of each
    store_port: int | None = None  # of the same host: leads to the one segment store; None: the address it publishes

    @property
    def each(self) -> tuple[Controller, ...]:
        """Each controller alone, in the order in which they were named."""
        places = ((self.host, self.port), *self.others)
        return tuple(replace(self, host=host, port=port, others=()) for host, port in places)

    @property
    def place(self) -> str:
        """Host and port, without the others."""
        return _place(self.host, self.port)

    @property
    def url(self) -> str:
        """The URL without the account; for one controller, it is in the client library's form."""
        return self._url(self.place, *(_place(*other) for other in self.others))

    @property
    def key(self) -> str:
        """The URL that is the same for the same controllers, in whatever order they were named."""
        return self._url(*sorted([self.place, *(_place(*other) for other in self.others)]))

    def _url(self, *places: str) -> str:
        return f"{'tls' if self.tls else 'tcp'}://{','.join(places)}"


@dataclass(frozen=True)
class Stream:
    """The full name of a stream."""

    scope: str = DEFAULT_SCOPE
    stream: str = DEFAULT_STREAM

    def __str__(self) -> str:
        return f"{self.scope}/{self.stream}"


_FORM = "a controller's URL looks like tcp://127.0.0.1:9090 or tls://chat.example.org:9090"


def parse_url(text: str) -> Controller:
    """Parse ``tcp://host:port`` or ``tls://host:port``; further controllers follow commas: ``tcp://a:9090,b:9090``.

    Raises UsageError for anything else.
    """
    if "@" in text:  # do not repeat the text: it may contain a password
        raise UsageError(f"An account does not belong in a URL, where others can see it; {_FORM}.")
    if "://" not in text.partition(",")[0]:
        raise UsageError(f"{text!r} is not a URL: {_FORM}.")
    first, *others = (part.strip() for part in text.split(","))
    if not all((first, *others)):
        raise UsageError(f"{text!r} names no controller before or after a comma: write tcp://a:9090,b:9090.")
    scheme = first.partition("://")[0]
    found = [_parse_one(part if "://" in part else f"{scheme}://{part}") for part in (first, *others)]
    if len({controller.tls for controller in found}) > 1:
        raise UsageError(f"{text!r} mixes tcp and tls: the controllers of one cluster speak all the same.")
    distinct = list(dict.fromkeys((controller.host, controller.port) for controller in found))
    return replace(found[0], others=tuple(distinct[1:]))


def _parse_one(text: str) -> Controller:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{text!r} is not a URL with a valid port: {_FORM}.") from None
    if parts.scheme not in ("tcp", "tls"):
        raise UsageError(f"{text!r}: the scheme {parts.scheme!r} is unknown; {_FORM}.")
    if not host or not port or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UsageError(f"{text!r} must have a host, a port and nothing else; {_FORM}.")
    if parts.scheme == "tls" and _is_ip(host):
        raise UsageError(f"{text!r}: TLS needs the server's name, not its IP address; {_FORM}.")
    return Controller(host, port, tls=parts.scheme == "tls")


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_ip(host: str) -> bool:
    # The client library checks host names only, even if the certificate contains IP addresses.
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
