"""Launch Pravega's standalone server: its command line, its folders and its logging."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from streamcli.errors import Unusable, from_os_error
from streamcli.paths import made
from streamcli.server import archive, state
from streamcli.server.state import Ports

MAIN = "io.pravega.local.LocalPravegaEmulator"

# The jars' own code logs through logback, Jersey and Grizzly through java.util.logging, which is switched off: it
# repeats seven harmless warnings at each start and can't be bounded without a format of its own.
_LOGBACK = """\
<configuration>
  <statusListener class="ch.qos.logback.core.status.NopStatusListener"/>
  <appender name="file" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>${streamcli.log}</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>${streamcli.log}.%i</fileNamePattern>
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
_JUL = "handlers=\n.level=OFF\n"

_JVM_FLAGS = (
    "-Xmx1g",
    "-XX:MaxDirectMemorySize=1g",
    # Quick to start and small rather than fast at full load: measured in docs/decisions/0002-embedded-server.md.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # no /tmp/hsperfdata_*
    "-XX:+ExitOnOutOfMemoryError",  # a dead server is recognised, a half-dead one is not
)


def launch(java: Path, jars: list[Path], ports: Ports) -> int:
    """Start the server's JVM on ``ports``, detached from this process and its terminal, and return its pid.

    Raises Unusable when Java can't be started, CannotCreate or FileTrouble when its folders can't be made.
    """
    home = state.folder()
    prepare(home)
    # A shell starts it in the background and ends at once: the JVM is nobody's child, so it is no zombie of a chat
    # that goes on, and Ctrl-C of a terminal does not reach it (own session, and SIGINT is ignored in the background).
    script = 'log=$1; shift; "$@" </dev/null >"$log" 2>&1 & echo $!'
    try:
        shell = subprocess.run(
            ["/bin/sh", "-c", script, "sh", str(state.console_path()), *command(java, jars, ports, home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=home,
            env=_environment(),
            start_new_session=True,
            check=True,
        )
        return int(shell.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise Unusable(f"Java can't be started: {error}.") from error


def command(java: Path, jars: list[Path], ports: Ports, home: Path) -> list[str]:
    """The command line of the JVM."""
    properties = {
        "java.io.tmpdir": home / "tmp",
        "java.util.logging.config.file": home / "jul.properties",
        "logback.configurationFile": home / "logback.xml",
        "singlenode.configurationFile": "/dev/null",
        # Watermarks are for readers that ask for event times, as none here do; by default 100 threads poll for them.
        "controller.watermarking.bucket.count": 1,
        "controller.watermarking.frequency.seconds": 600,
        "singlenode.admin.gateway.enable": "false",
        "singlenode.zk.port": ports.zookeeper,
        "singlenode.segmentStore.port": ports.segment_store,
        "singlenode.controller.rpc.port": ports.rpc,
        "singlenode.controller.rest.port": ports.rest,
        "pravegaservice.rest.listener.port": ports.segment_store_rest,
        "pravegaservice.service.published.host.nameOrIp": "127.0.0.1",
        "pravegaservice.service.listener.host.nameOrIp": "127.0.0.1",
    }
    return [
        str(java),
        *_JVM_FLAGS,
        *archive.flags(java, jars, home),
        f"-XX:ErrorFile={home / 'log' / 'jvm-crash.log'}",
        state.log_property(),
        *(f"-D{name}={value}" for name, value in properties.items()),
        "-cp",
        os.pathsep.join(map(str, jars)),
        MAIN,
    ]


def prepare(home: Path) -> None:
    """Make the JVM's folders with an empty ``tmp``, its logging configuration, and a fresh log beside the last one."""
    try:
        clean(home)
        for name in ("tmp", "log"):
            made(home / name)
        (home / "logback.xml").write_text(_LOGBACK, encoding="utf-8")
        (home / "jul.properties").write_text(_JUL, encoding="utf-8")
        log = state.log_path()
        if log.exists():  # so that what is found in the log belongs to this start
            log.replace(log.with_name(log.name + ".1"))
    except OSError as error:
        raise from_os_error(error, home) from error


def clean(home: Path) -> None:
    """Remove what a server that has ended leaves in its temporary folder."""
    shutil.rmtree(home / "tmp", ignore_errors=True)


def _environment() -> dict[str, str]:
    """Ours without what would make any JVM print a line or change its flags."""
    return {k: v for k, v in os.environ.items() if k not in ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS")}


def port_was_taken() -> bool:
    """Whether the running start has found one of its ports taken: some of the server's parts then wait for ever."""
    return any("Address already in use" in _text(path) for path in (state.log_path(), state.console_path()))


def last_words() -> str:
    """The most telling line of a start that failed: the first error, else the last line, else an empty string."""
    lines = [
        line.strip() for path in (state.log_path(), state.console_path()) for line in _text(path).splitlines() if line
    ]
    telling = [line for line in lines if " ERROR " in line or line.startswith(("Error", "Exception", "Caused by"))]
    return (telling or lines[-1:] or [""])[0][:300]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
