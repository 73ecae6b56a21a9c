"""Configures the server's parts: their configuration files, and the properties of the JVM they share."""

from __future__ import annotations

import os
from pathlib import Path

from streamcli.server import credentials, data
from streamcli.server.credentials import Credentials
from streamcli.server.state import Ports, ServerOptions
from streamcli.system import private_files

# Links in the server's folder to the data and jar folders. The server's process starts in its folder and uses paths
# relative to it for all files.
DATA = "data"
JARS = "jars"

HERE = "127.0.0.1"
LEDGERS = "/pravega/bookkeeper/ledgers"
_BOOKIE = "streamcli"  # its id in the ledgers, so that a new start may use other ports

# What every bookie on this machine has, whatever it is a part of.
BOOKIE = {
    "allowLoopback": "true",
    "advertisedAddress": HERE,
    "httpServerEnabled": "false",
    "zkLedgersRootPath": LEDGERS,
    "ledgerStorageClass": "org.apache.bookkeeper.bookie.InterleavedLedgerStorage",
    "nettyMaxFrameSizeBytes": 10 << 20,
    # Small files, so that unneeded ones can be deleted soon.
    "journalMaxSizeMB": 64,
    "journalPreAllocSizeMB": 4,
    "logSizeLimit": 64 << 20,
    # Each event is on disk before it is acknowledged, and none waits for others to be written with it.
    "journalFlushWhenQueueEmpty": "true",
    "journalMaxGroupWaitMSec": 1,
    # By default a bookie stops writing to a disk that is 95 % full, however large it is.
    "diskUsageThreshold": 0.999,
    "diskUsageWarnThreshold": 0.998,
}

# The jars' own code logs through logback; Jersey and Grizzly use java.util.logging, which is switched off: it repeats
# seven harmless warnings at each start and can't be bounded without a format of its own.
LOGBACK = """\
<configuration>
  <statusListener class="ch.qos.logback.core.status.NopStatusListener"/>
  <appender name="file" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>log/server.log</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>log/server.log.%i</fileNamePattern>
      <minIndex>1</minIndex>
      <maxIndex>2</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>5MB</maxFileSize>
    </triggeringPolicy>
    <encoder><pattern>%d{yyyy-MM-dd HH:mm:ss.SSS} %-5level %logger{30}: %msg%n%ex{8}</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="file"/></root>
</configuration>
"""
_LOGBACK = "streamcli-logback.xml"  # a relative name is first looked up in the jars, and one has a logback.xml
_JUL = "handlers=\n.level=OFF\n"


def write_files(home: Path, ports: Ports, choice: ServerOptions, secret: Credentials) -> None:
    """Write the configuration files to ``home``, which must already have the link to the data folder."""
    texts = {
        _LOGBACK: LOGBACK,
        "jul.properties": _JUL,
        "zookeeper.properties": _lines(_zookeeper(ports, choice)),
        "bookie.properties": _lines(_bookie(home / DATA, ports)),
        "segmentstore.properties": "",  # it has to exist
        "jaas.conf": _jaas(secret),
        "accounts": credentials.account_line(secret.login),
    }
    for name, text in texts.items():
        private_files.write(home / name, text)


def properties(ports: Ports, choice: ServerOptions, secret: Credentials) -> dict[str, str]:
    """Return the JVM's properties. They are set in the running JVM, because its crash reports list its arguments."""
    told = {
        "java.util.logging.config.file": "jul.properties",
        "logback.configurationFile": _LOGBACK,
        **_controller(ports),
        **_segment_store(ports, choice),
    }
    if choice.auth:
        told |= _auth(ports, secret)
    return {name: str(value) for name, value in told.items()}


def _lines(settings: dict[str, object]) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _zookeeper(ports: Ports, choice: ServerOptions) -> dict[str, object]:
    settings: dict[str, object] = {
        "dataDir": f"{DATA}/zookeeper",
        "clientPortAddress": HERE,
        "clientPort": ports.zookeeper,
        "admin.enableServer": "false",
        "maxClientCnxns": 0,
        # All parts live and die in one process. No session needs to expire, even if the process was suspended for a
        # while.
        "minSessionTimeout": 600_000,  # milliseconds
        "maxSessionTimeout": 600_000,
        "autopurge.purgeInterval": 1,  # hours
        "autopurge.snapRetainCount": 3,
        "4lw.commands.whitelist": "ruok",
    }
    if choice.auth:
        settings["authProvider.1"] = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
        settings["sessionRequireClientSASLAuth"] = "true"
    return settings


def _bookie(link: Path, ports: Ports) -> dict[str, object]:
    root = _known_to_the_bookie(link)
    return {
        "bookieId": _BOOKIE,
        # It serves only its own JVM: no port, so no password for one either.
        "enableLocalTransport": "true",
        "disableServerSocketBind": "true",
        "journalDirectories": f"{root}/journal",
        "ledgerDirectories": f"{root}/ledgers",
        "zkServers": f"{HERE}:{ports.zookeeper}",
        "metadataServiceUri": f"zk+null://{HERE}:{ports.zookeeper}{LEDGERS}",
        **BOOKIE,
    }


def _known_to_the_bookie(link: Path) -> str:
    """Return the data folder's path as its bookie has recorded it there: it refuses to start under any other.

    Folders created by earlier versions hold their absolute path.
    """
    target = os.path.realpath(link)
    try:
        known = (link / "ledgers" / "current" / "VERSION").read_bytes()
    except OSError:
        return DATA
    old = str(link.readlink())
    return next((one for one in (old, target) if os.fsencode(f"{one}/ledgers") in known), DATA)


def _controller(ports: Ports) -> dict[str, object]:
    return {
        "controller.zk.connect.uri": f"{HERE}:{ports.zookeeper}",
        "controller.container.count": 1,
        "controller.rebalance.interval.seconds.min": 1,
        **controller_ports(ports.rpc, ports.rest),
    }


def controller_ports(rpc: int, rest: int) -> dict[str, object]:
    """Return what every controller on this machine has, whatever it is a part of."""
    return {
        "controller.service.rpc.listener.port": rpc,
        "controller.service.rpc.published.host.nameOrIp": HERE,
        "controller.service.rpc.published.port": rpc,
        "controller.service.rest.listener.host.ip": HERE,
        "controller.service.rest.listener.port": rest,
        "controller.service.rest.published.host.nameOrIp": HERE,
        "controller.service.rest.published.port": rest,
        # Watermarks are for readers that ask for event times, as none here do; by default 100 threads poll for them.
        "controller.watermarking.bucket.count": 1,
        "controller.watermarking.frequency.seconds": 600,
    }


def _segment_store(ports: Ports, choice: ServerOptions) -> dict[str, object]:
    settings: dict[str, object] = {
        "pravega.configurationFile": "segmentstore.properties",
        "pravegaservice.container.count": 1,  # like the controller's
        **store_ports(ports.segment_store, ports.zookeeper),
        "pravegaservice.dataLog.impl.name": "INMEMORY",
        "pravegaservice.storage.impl.name": "INMEMORY",
        "autoScale.controller.connect.uri": f"tcp://{HERE}:{ports.rpc}",
    }
    if choice.durable:
        settings |= {
            **durable_store(f"{DATA}/{data.PARTS[-1]}", ports.zookeeper),
            "bookkeeper.ensemble.size": 1,
            "bookkeeper.write.quorum.size": 1,
            "bookkeeper.ack.quorum.size": 1,
            # A start puts into the cache all that the last run wrote since a checkpoint, and fails if that does not
            # fit. So a running server fills less than a third of it, and makes a checkpoint every 64 MB.
            "pravegaservice.cache.size.max": 320 << 20,
            "pravegaservice.cache.utilization.percent.target": 25,
            "pravegaservice.cache.utilization.percent.max": 30,
            "durablelog.checkpoint.commit.length.total": 64 << 20,
        }
    return settings


def store_ports(port: int, zookeeper: int) -> dict[str, object]:
    """Return what every segment store on this machine has, whatever it is a part of."""
    return {
        "pravegaservice.cluster.name": "pravega-cluster",
        "pravegaservice.service.listener.host.nameOrIp": HERE,
        "pravegaservice.service.published.host.nameOrIp": HERE,
        "pravegaservice.service.listener.port": port,
        "pravegaservice.service.published.port": port,
        "pravegaservice.zk.connect.uri": f"{HERE}:{zookeeper}",
        "pravegaservice.cache.size.max": 96 << 20,  # below the JVM's limit outside its heap
        # Drop data a second after it was read. By default (1800 s) one client that reads a long log fills the cache
        # faster than it is emptied, and while it is full all writes wait: for up to 30 s.
        "pravegaservice.cache.time.seconds.max": 1,
        "pravegaservice.admin.gateway.enable": "false",
        "pravegaservice.rest.listener.enable": "false",
    }


def durable_store(root: str, zookeeper: int) -> dict[str, object]:
    """Return what a segment store has that writes through bookies and to the folder ``root``."""
    return {
        "pravegaservice.dataLog.impl.name": "BOOKKEEPER",
        "pravegaservice.storage.impl.name": "FILESYSTEM",
        "pravegaservice.storage.layout": "CHUNKED_STORAGE",
        "filesystem.root": root,
        "bookkeeper.zk.connect.uri": f"{HERE}:{zookeeper}",
        "bookkeeper.zk.metadata.path": "/segmentstore/containers",
        "bookkeeper.ledger.path": LEDGERS,
        "bookkeeper.ledger.size.max": 64 << 20,
    }


def _auth(ports: Ports, secret: Credentials) -> dict[str, object]:
    login = secret.login
    return {
        "controller.security.auth.enable": "true",
        "controller.security.pwdAuthHandler.accountsDb.location": "accounts",
        "controller.security.auth.delegationToken.signingKey.basis": secret.signing_key,
        "autoScale.controller.connect.security.auth.enable": "true",
        "autoScale.security.auth.token.signingKey.basis": secret.signing_key,
        "pravega.client.auth.method": "Basic",
        "pravega.client.auth.loadDynamic": "false",
        "pravega.client.auth.token": login.basic,
        "java.security.auth.login.config": "jaas.conf",
        "zookeeper.sessionRequireClientSASLAuth": "true",
    }


def _jaas(secret: Credentials) -> str:
    module = "org.apache.zookeeper.server.auth.DigestLoginModule required"
    return (
        f'Server {{ {module} user_{credentials.USER}="{secret.zookeeper}"; }};\n'
        f'Client {{ {module} username="{credentials.USER}" password="{secret.zookeeper}"; }};\n'
    )
