"""The server's process: one JVM that runs ZooKeeper, bookie, controller and segment store.

Run as ``python -m streamcli.server.jvm FILE``, where FILE (written by launch.py) holds all options. It writes the
health of the parts to ``health.json``, and it dies as soon as one of them fails: a dead server is noticed and
restarted.
"""

from __future__ import annotations

import json
import locale
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from streamcli.errors import StreamcliError
from streamcli.server import probe
from streamcli.server.gate_keeper import keep_gate
from streamcli.system import locks, private_files

_LOOK = 0.02  # seconds between checks of a port while starting
_BEAT = 2.0  # seconds between checks of the bookie
_SESSION = 10_000  # milliseconds that a ZooKeeper session outlives its connection
_LOCKED = 75
_FAILED = 70
_NETTY = "io.grpc.netty.shaded.io.grpc.netty"
_AVAILABLE = "/pravega/bookkeeper/ledgers/available"


def main(file: str) -> None:
    """Run the server that ``file`` describes until it dies."""
    told = json.loads(Path(file).read_text(encoding="utf-8"))
    os.umask(0o077)
    if told["data"]:
        _lock(Path(told["data"]) / "lock")
    speak_utf8()
    import jpype

    # -Xrs among the flags leaves SIGTERM alone: the process ends at once, which is how the server is stopped.
    jpype.startJVM(told["jvm"], *told["flags"], classpath=told["classpath"], convertStrings=True, interrupt=False)
    system = jpype.JClass("java.lang.System")
    for name, value in told["properties"].items():
        system.setProperty(name, value)
    die_at_exit(jpype)
    bind_to_loopback(jpype)
    run(jpype, "org.apache.zookeeper.server.quorum.QuorumPeerMain", told["zookeeper"])
    _wait_for_zookeeper(told["ports"]["zookeeper"])
    zookeeper = _connected(jpype, told["ports"]["zookeeper"])
    _forget_the_dead(zookeeper, "/pravega")
    if told["bookie"]:
        format_once(jpype, Path(told["data"]) / "format", told["bookie"])
        run(jpype, "org.apache.bookkeeper.server.Main", "--conf", told["bookie"])
        _wait_for_bookie(zookeeper)
    run(jpype, "io.pravega.controller.server.Main")
    run(jpype, "io.pravega.segmentstore.server.host.ServiceStarter")
    keep_gate()
    _watch(zookeeper, bool(told["bookie"]), Path(told["health"]))


def speak_utf8() -> None:
    """Set a UTF-8 locale: Java decodes file names by it, and in the locale C it opens only ASCII names."""
    for name in ("C.UTF-8", os.environ.get("LC_ALL") or os.environ.get("LANG") or "", "en_US.UTF-8"):
        with suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, name)
            if locale.nl_langinfo(locale.CODESET).upper() in ("UTF-8", "UTF8"):
                os.environ["LC_ALL"] = name  # the JVM reads it
                return


def _lock(path: Path) -> None:
    """Lock the data against other servers for as long as this process lives."""
    if locks.try_hold(path) is None:  # when held, it is never closed
        print(f"Error: the data folder {path.parent} is in use by another server", flush=True)
        os._exit(_LOCKED)


def die_at_exit(jpype: Any) -> None:
    """A failing part calls System.exit: exit at once, without waiting for the other parts' shutdown hooks."""

    class Halt:
        def run(self) -> None:
            os._exit(_FAILED)

    thread = jpype.JClass("java.lang.Thread")(jpype.JProxy("java.lang.Runnable", inst=Halt()))
    jpype.JClass("java.lang.Runtime").getRuntime().addShutdownHook(thread)


def bind_to_loopback(jpype: Any) -> None:
    """Let the RPC port listen on loopback only. Pravega has no setting for that, so one method is replaced."""
    pool = jpype.JClass("javassist.ClassPool").getDefault()
    builder = pool.get(f"{_NETTY}.NettyServerBuilder")
    method = builder.getDeclaredMethod("forPort", [pool.get("int")])
    method.setBody('{ return forAddress(new java.net.InetSocketAddress("127.0.0.1", $1)); }')
    builder.toClass(jpype.JClass(f"{_NETTY}.NettyChannelBuilder").class_)


def run(jpype: Any, main_class: str, *arguments: str) -> None:
    """Run a part's main method in a separate thread."""

    def part() -> None:
        # Otherwise ZooKeeper does not find its own classes.
        jpype.JClass("java.lang.Thread").currentThread().setContextClassLoader(
            jpype.JClass("java.lang.ClassLoader").getSystemClassLoader()
        )
        try:
            jpype.JClass(main_class).main(jpype.JArray(jpype.JString)(list(arguments)))
        except BaseException as error:
            print(f"Error: {main_class} failed: {error}", flush=True)
            os._exit(_FAILED)

    threading.Thread(target=part, daemon=True, name=main_class).start()


def _wait_for_zookeeper(port: int) -> None:
    """Wait until our own ZooKeeper serves.

    Another program's may have taken the port: then ours ends, and this process with it; the other must not be touched.
    The port opens before ZooKeeper serves: a client that connects in between waits a second before it retries.
    """
    while not (probe.zookeeper_answers(port, 1.0) and probe.belongs_to(port, os.getpid())):
        time.sleep(_LOOK)


def _connected(jpype: Any, port: int) -> Any:
    """Return a connected ZooKeeper client."""

    class Watcher:
        def process(self, event: Any) -> None:
            pass

    watcher = jpype.JProxy("org.apache.zookeeper.Watcher", inst=Watcher())
    client = jpype.JClass("org.apache.zookeeper.ZooKeeper")(f"127.0.0.1:{port}", _SESSION, watcher)
    while not client.getState().isConnected():
        time.sleep(_LOOK)
    return client


def _forget_the_dead(zookeeper: Any, path: str) -> None:
    """Delete the ephemeral nodes of the last server's parts.

    The lock on the data proves that these parts are dead. ZooKeeper would wait for their sessions to expire, and
    meanwhile the bookie finds its own name taken and gives up.
    """
    stat = zookeeper.exists(path, False)
    if stat is None:
        return
    if stat.getEphemeralOwner():
        zookeeper.delete(path, -1)
        return
    for child in zookeeper.getChildren(path, False):
        _forget_the_dead(zookeeper, f"{path}/{child}")


def format_once(jpype: Any, done: Path, conf: str) -> None:
    """Prepare a new data folder for the bookie."""
    if done.exists():
        return
    settings = jpype.JClass("org.apache.bookkeeper.conf.ServerConfiguration")()
    settings.loadConf(jpype.JClass("java.io.File")(conf).toURI().toURL())
    jpype.JClass("org.apache.bookkeeper.client.BookKeeperAdmin").format(settings, False, True)
    done.write_text("streamcli 1, Pravega 0.13.0\n")


def _wait_for_bookie(zookeeper: Any) -> None:
    # A segment store without a bookie can't recover its log, gives its container up, and retries much later.
    while _bookie_health(zookeeper) in ("starting", "unknown"):
        time.sleep(_LOOK)


def _watch(zookeeper: Any, with_bookie: bool, health: Path) -> None:
    """Record the bookie's health whenever it changes: it has no port to ask."""
    last = None
    while True:
        now = _bookie_health(zookeeper) if with_bookie else "none"
        if now != last:
            with suppress(StreamcliError):  # a full disk, for example
                private_files.write(health, json.dumps({"pid": os.getpid(), "bookie": now}))
                last = now
        time.sleep(_BEAT if now in ("ok", "none") else _LOOK * 10)


def _bookie_health(zookeeper: Any) -> str:
    try:
        names = [str(name) for name in zookeeper.getChildren(_AVAILABLE, False)]
        if [name for name in names if name != "readonly"]:
            return "ok"
        if list(zookeeper.getChildren(f"{_AVAILABLE}/readonly", False)):
            return "reads only, its disk is full"
    except Exception as error:  # a Java exception, when ZooKeeper is silent or has no nodes yet
        return "starting" if "NoNode" in str(error) else "unknown"
    return "starting"


if __name__ == "__main__":
    main(sys.argv[1])
