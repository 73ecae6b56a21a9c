"""Configures the cluster's parts: their files and properties. Pure.

What is not set here is Pravega's default. All paths are relative to a part's own folder, in which its process starts.
"""

from __future__ import annotations

from enum import Enum

from streamcli.model.address import Login
from streamcli.server.parts import BOOKIE, HERE, LEDGERS, controller_ports, durable_store, store_ports

STORAGE = "../storage"  # what the segment stores share; elsewhere it is NFS or an object store
ACCOUNTS = "../accounts"
BOOKIE_FILE = "bookie.properties"
ZOOKEEPER_FILE = "zookeeper.properties"
LOGBACK_FILE = "streamcli-logback.xml"
STORE_FILE = "segmentstore.properties"
CONTAINERS = 4  # the segments of all streams are spread over them, and they over the segment stores
# How many bookies hold each entry. With three bookies and two copies one may die: the next entries go to the other two.
ENSEMBLE = WRITE_QUORUM = ACK_QUORUM = 2
# Milliseconds until a part that was killed counts as dead; the default, 10 s, would all be silence in a chat.
SESSION = 4_000

Properties = dict[str, object]


class Kind(Enum):
    """The kinds of parts, in the order in which they start; the value begins their names."""

    ZOOKEEPER = "zookeeper"
    BOOKIE = "bookie"
    CONTROLLER = "controller"
    STORE = "store"


MAIN = {
    Kind.ZOOKEEPER: ("org.apache.zookeeper.server.quorum.QuorumPeerMain", ZOOKEEPER_FILE),
    # The bookie makes a URL of the absolute path, and would fail at a % in it.
    Kind.BOOKIE: ("org.apache.bookkeeper.server.Main", "--conf", f"/proc/self/cwd/{BOOKIE_FILE}"),
    Kind.CONTROLLER: ("io.pravega.controller.server.Main",),
    Kind.STORE: ("io.pravega.segmentstore.server.host.ServiceStarter",),
}
MEMORY = {
    Kind.ZOOKEEPER: ("-Xmx64m",),
    Kind.BOOKIE: ("-Xmx128m", "-XX:MaxDirectMemorySize=128m"),
    Kind.CONTROLLER: ("-Xmx256m",),
    Kind.STORE: ("-Xmx256m", "-XX:MaxDirectMemorySize=300m"),
}


def files(kind: Kind, port: int, zookeeper: int) -> dict[str, str]:
    """Return the configuration files of a part that listens on ``port``, by name."""
    if kind is Kind.ZOOKEEPER:
        return {ZOOKEEPER_FILE: _lines(_zookeeper(port))}
    if kind is Kind.BOOKIE:
        return {BOOKIE_FILE: _lines(_bookie(port, zookeeper))}
    return {STORE_FILE: ""} if kind is Kind.STORE else {}  # it has to exist


def properties(
    kind: Kind, port: int, rest: int, zookeeper: int, url: str, login: Login, signing_key: str
) -> dict[str, str]:
    """Return the properties of a part's JVM. They hold secrets, so they are set once it runs, not as arguments."""
    told: Properties = {"logback.configurationFile": LOGBACK_FILE}
    if kind is Kind.CONTROLLER:
        told |= _controller(port, rest, zookeeper) | _auth(url, login, signing_key)
    elif kind is Kind.STORE:
        told |= _store(port, zookeeper) | _auth(url, login, signing_key)
    return {name: str(value) for name, value in told.items()}


def _lines(settings: Properties) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _zookeeper(port: int) -> Properties:
    return {
        "dataDir": "data",
        "clientPortAddress": HERE,
        "clientPort": port,
        "admin.enableServer": "false",
        "maxClientCnxns": 0,
        "tickTime": SESSION // 4,  # a session can't be shorter than two ticks
        "autopurge.purgeInterval": 1,  # hours
        "autopurge.snapRetainCount": 3,
        "4lw.commands.whitelist": "ruok",
    }


def _bookie(port: int, zookeeper: int) -> Properties:
    return {
        "bookiePort": port,
        "listeningInterface": "lo",
        "journalDirectories": "data/journal",
        "ledgerDirectories": "data/ledgers",
        "zkServers": f"{HERE}:{zookeeper}",
        "zkTimeout": SESSION,
        "metadataServiceUri": f"zk+null://{HERE}:{zookeeper}{LEDGERS}",
        **BOOKIE,
    }


def _controller(port: int, rest: int, zookeeper: int) -> Properties:
    return {
        "controller.zk.connect.uri": f"{HERE}:{zookeeper}",
        "controller.zk.connect.session.timeout.milliseconds": SESSION,
        "controller.container.count": CONTAINERS,
        "controller.rebalance.interval.seconds.min": 1,  # by default containers move at most every 10 s
        **controller_ports(port, rest),
    }


def _store(port: int, zookeeper: int) -> Properties:
    return {
        "pravega.configurationFile": STORE_FILE,
        "pravegaservice.container.count": CONTAINERS,  # like the controllers'
        **store_ports(port, zookeeper),
        **durable_store(STORAGE, zookeeper),
        "pravegaservice.zk.connect.sessionTimeout.milliseconds": SESSION,
        "bookkeeper.zk.connect.sessionTimeout.milliseconds": SESSION,
        "bookkeeper.ensemble.size": ENSEMBLE,
        "bookkeeper.write.quorum.size": WRITE_QUORUM,
        "bookkeeper.ack.quorum.size": ACK_QUORUM,
    }


def _auth(url: str, login: Login, signing_key: str) -> Properties:
    return {
        "controller.security.auth.enable": "true",
        "controller.security.pwdAuthHandler.accountsDb.location": ACCOUNTS,
        "controller.security.auth.delegationToken.signingKey.basis": signing_key,
        "autoScale.controller.connect.uri": url,
        "autoScale.controller.connect.security.auth.enable": "true",
        "autoScale.security.auth.token.signingKey.basis": signing_key,
        "pravega.client.auth.method": "Basic",
        "pravega.client.auth.loadDynamic": "false",
        "pravega.client.auth.token": login.basic,
    }
