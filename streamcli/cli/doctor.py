"""``streamcli doctor``: checks everything from Python to the server, one line each."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from streamcli.cli.gate_check import check_gate
from streamcli.cli.roundtrip import round_trip
from streamcli.config import Settings
from streamcli.errors import NotPermitted, StreamcliError, Unreachable, Unusable
from streamcli.java.jar_lock import is_good
from streamcli.java.jars import default_folder, needed
from streamcli.java.progress import Lines
from streamcli.java.which import VARIABLE, java
from streamcli.log import opening
from streamcli.log.api import Target
from streamcli.log.probe import Answer, probe, worded
from streamcli.model.address import ClientName, Controller, Stream, WantedClient
from streamcli.model.ssh_host import SshHost
from streamcli.storage.directories import Places, address_key
from streamcli.storage.history import History
from streamcli.system import extra, paths
from streamcli.system.log_file import log_path

PROBE_TIMEOUT = 2.0
JAVA_TIMEOUT = 20.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Finding:
    """One line: ``error`` is None if all is well, else it says what to do."""

    what: str
    text: str
    error: StreamcliError | None = None


async def doctor(settings: Settings, target: Target, out: TextIO) -> int:
    """Write a line for each check to ``out``; return the exit code of the first failure, or 0."""
    code = 0

    def say(finding: Finding) -> None:
        nonlocal code
        mark, text = ("ok  ", finding.text) if finding.error is None else ("FAIL", str(finding.error))
        out.write(f"{mark}  {finding.what:<13} {text}\n")
        out.flush()
        code = code or (finding.error.exit_code if finding.error else 0)

    say(_python())
    if settings.gate:
        for finding in (*_folders(), *_memory(settings)):
            say(finding)
        say(await _gate(settings, target))
        return code
    say(_checked("Extra", _extra))
    if extra.trouble():
        for finding in (*_folders(), *_memory(settings)):
            say(finding)
        return code
    usable, client = _client(settings.client)
    say(usable)
    embedded = settings.controller is None
    if embedded or client == "java":
        say(_checked("Java", _java))
        say(_checked("Jars", lambda: _jars(client=not embedded)))
    for finding in (*_folders(), _server_log(), *_memory(settings)):
        say(finding)
    well: list[Controller] = []
    way = f", over {settings.controller.key}" if isinstance(settings.controller, SshHost) else ""
    async for finding in _servers(target, settings.stream, well, way):
        say(finding)
    if not well:
        out.write("      The rest needs a server.\n")
        return code
    for finding in _access(well[0], settings.stream):
        say(finding)
    try:
        if usable.error:
            raise usable.error
        opening.prepare(settings.client, Lines(sys.stderr, "client"))
        group, times = await round_trip(target, settings.timeout)
    except NotPermitted as error:  # the account can still chat
        say(Finding("round trip", f"not measured, it needs a stream of its own: {error}"))
        return code
    except StreamcliError as error:
        say(Finding("reader", "", error))
        return code
    say(Finding("reader", f"reader group made, read and deleted: {group}" if group else "read without a reader group"))
    middle, worst = statistics.median(times) * 1000, max(times) * 1000
    say(Finding("round trip", f"{middle:.1f} ms at the median, {worst:.1f} ms at most, {len(times)} messages"))
    return code


def _checked(what: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except StreamcliError as error:
        return Finding(what, "", error)


def _python() -> Finding:
    system = f"{platform.system()} {platform.machine()}"
    return Finding("Python", f"{platform.python_implementation()} {platform.python_version()} on {system}")


async def _gate(settings: Settings, target: Target) -> Finding:
    try:
        return Finding("gate", await check_gate(target, settings.timeout))
    except StreamcliError as error:
        return Finding("gate", "", error)


def _extra() -> Finding:
    """Check the packages without which no server can be used."""
    extra.require()
    return Finding("Extra", f"server: {extra.versions()}")


def _client(wanted: WantedClient | None) -> tuple[Finding, ClientName | None]:
    """Return the line on the client, and which one it is."""
    try:
        choice = opening.choose(wanted)
    except Unusable as error:
        return Finding("Client", "", error), None
    package = {"wheel": "pravega", "java": "JPype1"}[choice.name]
    text = f"{choice.name} ({package} {importlib.metadata.version(package)}): {choice.why}"
    return Finding("Client", text), choice.name


def _java() -> Finding:
    path = java()
    try:
        # Without this flag Java leaves a folder of counters behind.
        command = [str(path), "-XX:-UsePerfData", "-version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=JAVA_TIMEOUT, check=True, cwd="/")
    except (OSError, subprocess.SubprocessError) as error:
        raise Unusable(f"The Java at {path} does not run ({error}). Set {VARIABLE} to a Java 17.") from error
    version = (done.stderr or done.stdout).partition("\n")[0].strip()
    return Finding("Java", f"{version}, {path}")


def _jars(client: bool) -> Finding:
    """Check the jars that a client needs, or all, which is what the server needs."""
    jars, folder = needed(client=client), default_folder()
    here = [jar for jar in jars if is_good(folder / jar.name, jar)]
    for jar in jars:
        path = folder / jar.name
        if jar not in here and path.is_file() and path.stat().st_size == jar.size:
            # A start checks only the sizes.
            raise Unusable(f"{path} is damaged. Delete it: the next start fetches it again.")
    total = sum(jar.size for jar in jars) / 1e6
    if len(here) < len(jars):
        return Finding(
            "Jars", f"{len(here)} of {len(jars)} are here; the next start fetches the rest of {total:.1f} MB"
        )
    return Finding("Jars", f"all {len(jars)} are here, {total:.1f} MB in {folder}")


async def _servers(target: Target, stream: Stream, well: list[Controller], way: str) -> AsyncIterator[Finding]:
    """Probe every controller, to which ``way`` leads; those that can be used are added to ``well``."""
    try:
        each = target.locate().each
    except Unreachable as error:
        yield Finding("server", "", error)
        return
    for controller in each:
        answer = await probe(controller, stream, PROBE_TIMEOUT)
        if answer is Answer.WELL:
            well.append(controller)
            yield Finding("server", f"Pravega answers at {controller.url}{way}")
        else:
            text = f"{controller.url}: {worded(answer, controller, stream)}."
            yield Finding("server", "", NotPermitted(text) if answer.final else Unreachable(text))


def _access(controller: Controller, stream: Stream) -> Iterator[Finding]:
    """Check the account and the protection of the connection to a server that answers."""
    if controller.tls:
        yield Finding("TLS", f"the server's certificate is vouched for by {controller.ca or 'the system'}")
    if not controller.login:
        yield Finding("account", "none, the server asks for none")
        return
    open_ = not controller.tls and controller.host not in LOOPBACK
    warning = ", but its password crosses the network for all to read: tls:// protects it" if open_ else ""
    yield Finding("account", f"{controller.login.user} may use the stream {stream}{warning}")


def _folders() -> Iterator[Finding]:
    for what, folder in (("cache", paths.cache_dir()), ("state", paths.state_dir()), ("data", paths.data_dir())):
        try:
            paths.ensure_dir(folder)
            if not os.access(folder, os.W_OK):
                raise Unusable(f"{folder} can't be written. Check who owns it and its permissions.")
            yield Finding(f"{what} folder", str(folder))
        except StreamcliError as error:
            yield Finding(f"{what} folder", "", error)
    yield Finding("settings", f"{paths.config_file()} ({_here(paths.config_file())})")
    yield Finding("log file", str(log_path()))
    yield Finding("input lines", str(paths.state_dir() / "typed"))
    yield Finding("program", _program())


def _server_log() -> Finding:
    from streamcli.server.state import log_path as server_log_path  # late: needs the extra

    return Finding("server log", str(server_log_path()))


def _memory(settings: Settings) -> Iterator[Finding]:
    places, address = Places(settings.user), address_key(settings.where, settings.stream)
    try:
        log = places.log_at(address)
        if log is None:
            yield Finding("history", "none yet of this log")
        else:
            with History.open(places.history(log)) as history:
                yield Finding("history", f"{history.count:,} messages in {history.path}")
    except StreamcliError as error:
        yield Finding("history", "", error)
    try:
        yield Finding("outbox", str(places.outbox(address)))
    except StreamcliError as error:
        yield Finding("outbox", "", error)


def _here(path: Path) -> str:
    return "read" if path.exists() else "there is none, which is fine"


def _program() -> str:
    try:
        return str(Path(sys.argv[0]).absolute())
    except OSError:
        return f"{sys.argv[0]}, relative to a folder that does not exist any more"
