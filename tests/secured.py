"""A Pravega server that asks for an account, and speaks TLS if wanted: started as its operator would, not by us."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from streamcli.java.which import java
from tests.certificates import Authority
from tests.conftest import eventually
from tests.environment import make_home

SCOPE, STREAM = "acme", "general"
# Each account's password and what it may do.
ACCOUNTS = {
    "": ("", ""),
    "admin": ("admin's Secret-1", "prn::*,READ_UPDATE"),
    "alice": (
        "horse: bättery 42",
        f"prn::/scope:{SCOPE}/stream:{STREAM},READ_UPDATE;prn::/scope:{SCOPE}/stream:alice-*_kvtable,READ_UPDATE",
    ),
    "stranger": ("Stranger-1", "prn::/scope:other/*,READ_UPDATE"),
    "onlyreads": ("Onlyreads-1", f"prn::/scope:{SCOPE}/stream:{STREAM},READ"),
    "nogroups": ("Nogroups-1", f"prn::/scope:{SCOPE}/stream:{STREAM},READ_UPDATE"),
    "nostream": ("Nostream-1", f"prn::/scope:{SCOPE}/stream:*,READ_UPDATE"),
}
_JARS = """
import os, sys
from streamcli.server import Lines
from streamcli.java.jars import ensure_jars
print(os.pathsep.join(map(str, ensure_jars(Lines(sys.stderr)))))
"""


@dataclass(frozen=True)
class Secured:
    """A running server."""

    port: int
    ca: Path | None

    @property
    def url(self) -> str:
        return f"{'tls' if self.ca else 'tcp'}://localhost:{self.port}"

    def env(self, account: str, password: str | None = None) -> dict[str, str]:
        """What ``account`` has in the environment; with ``password`` in place of its own."""
        env = {"STREAMCLI_SCOPE": SCOPE, "STREAMCLI_STREAM": STREAM, "STREAMCLI_URL": self.url}
        env |= {
            "STREAMCLI_ACCOUNT": account,
            "STREAMCLI_PASSWORD": ACCOUNTS[account][0] if password is None else password,
        }
        return env | ({"STREAMCLI_CA": str(self.ca)} if self.ca else {})


@contextlib.contextmanager
def running(folder: Path, tls: bool) -> Iterator[Secured]:
    """Start the server in ``folder`` and wait until it can be used; the stream is for the test to make."""
    env = make_home(folder)
    env["PYTHONPATH"] = str(Path(__file__).parent.parent)
    jars = subprocess.run([sys.executable, "-c", _JARS], env=env, check=True, capture_output=True, text=True).stdout
    ports = _free_ports(5)
    (folder / "server.properties").write_text(
        "".join(f"{name}={value}\n" for name, value in _properties(folder, ports, tls).items())
    )
    (folder / "accounts").write_text("".join(_line(name, *account) for name, account in ACCOUNTS.items() if name))
    (folder / "quiet.xml").write_text('<configuration><root level="OFF"/></configuration>')
    if tls:
        Authority(folder).vouch_for("localhost")
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(_command(folder, jars.strip()), env=env, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        for port in (ports[1], ports[2]):
            eventually(lambda: _listens(port), deadline=60)  # noqa: B023
        yield Secured(ports[2], folder / "ca.crt" if tls else None)
    finally:
        server.kill()
        server.wait()


def _command(folder: Path, jars: str) -> list[str]:
    flags = ["-Xmx768m", "-XX:MaxDirectMemorySize=768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    properties = {
        "java.io.tmpdir": folder / "tmp",
        "logback.configurationFile": folder / "quiet.xml",
        "singlenode.configurationFile": folder / "server.properties",
        "singlenode.admin.gateway.enable": "false",
    }
    given = [f"-D{name}={value}" for name, value in properties.items()]
    return [str(java()), *flags, "-XX:-UsePerfData", *given, "-cp", jars, "io.pravega.local.LocalPravegaEmulator"]


def _properties(folder: Path, ports: list[int], tls: bool) -> Mapping[str, object]:
    zookeeper, segment_store, rpc, rest, segment_store_rest = ports
    properties: dict[str, object] = {
        "singlenode.zk.port": zookeeper,
        "singlenode.segmentStore.port": segment_store,
        "singlenode.controller.rpc.port": rpc,
        "singlenode.controller.rest.port": rest,
        "pravegaservice.rest.listener.port": segment_store_rest,
        "pravegaservice.service.listener.host.nameOrIp": "127.0.0.1",
        "pravegaservice.service.published.host.nameOrIp": "localhost",
        "singlenode.security.auth.enable": "true",
        "singlenode.security.auth.credentials.username": "admin",
        "singlenode.security.auth.credentials.pwd": ACCOUNTS["admin"][0],
        "singlenode.security.auth.pwdAuthHandler.accountsDb.location": folder / "accounts",
    }
    if tls:
        properties |= {
            "singlenode.security.tls.enable": "true",
            "singlenode.security.tls.privateKey.location": folder / "server.key",
            "singlenode.security.tls.certificate.location": folder / "server.crt",
            "singlenode.security.tls.keyStore.location": folder / "server.p12",
            "singlenode.security.tls.keyStore.pwd.location": folder / "ks.pwd",
            "singlenode.security.tls.trustStore.location": folder / "trust.p12",
        }
    return properties


def _line(user: str, password: str, rights: str) -> str:
    """A line of Pravega's accounts file."""
    salt = os.urandom(16)
    hashed = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 5000, 64)
    return f"{user}:{f'5000:{salt.hex()}:{hashed.hex()}'.encode().hex()}:{rights};\n"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("0.0.0.0", 0))
        return [one.getsockname()[1] for one in sockets]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
        return True
    return False
