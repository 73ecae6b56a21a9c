"""Starts, stops and inspects the embedded server, which all of the user's terminals share."""

from __future__ import annotations

import enum
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from streamcli.errors import NotPermitted, Unreachable, UsageError
from streamcli.java.jars import ensure_jars
from streamcli.java.progress import Progress
from streamcli.java.which import java
from streamcli.model.address import Login
from streamcli.server import credentials, data, launch, probe, state
from streamcli.server.state import FETCHING, RUNNING, STARTING, STOPPED, Ports, Record, ServerOptions
from streamcli.system import locks
from streamcli.system.clock import SYSTEM, Clock

_POLL = 0.05  # seconds
_LOOK_AT_LOG = 0.5  # seconds
_LONGEST_START = 60.0  # seconds after which a JVM that was never ready no longer counts as starting
_KILL_WAIT = 5.0  # seconds
_SOON = 1.5  # seconds; a server that ends sooner would do so the next time as well


class State(enum.Enum):
    """The state of the embedded server."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"  # deliberately
    CRASHED = "crashed"  # it ran, and its JVM is gone
    UNRESPONSIVE = "unresponsive"  # its JVM exists but does not answer
    ABSENT = "absent"  # never started


@dataclass(frozen=True)
class Status:
    """What is known about the embedded server; ``detail`` is a sentence for the user."""

    state: State
    detail: str
    pid: int | None = None  # of the JVM, if it is alive
    ports: Ports | None = None  # the last five are None unless the JVM is alive
    url: str | None = None
    since: float | None = None  # when the phase began, seconds since the epoch
    choice: ServerOptions | None = None


class _PortTaken(Exception):
    """Another program took one of the ports between our check and the server's bind."""


class _GaveUp(Unreachable):
    """The server's process ended before it was ready, without being stopped."""


def current_url() -> str | None:
    """Return the URL of the server last started, or None; only reads one small file."""
    record = state.read()
    return record.ports.url if record and record.phase in (STARTING, RUNNING) else None


def status(patience: float = 0.5, clock: Clock = SYSTEM) -> Status:
    """Return the server's status: takes a few ms, at most ``patience`` seconds when its JVM is alive but silent."""
    record = state.read()
    if record is None:
        return Status(State.ABSENT, "The embedded server was never started here.")
    process = state.process(record)
    if process is None:
        return _gone(record)
    if record.phase == FETCHING:
        return Status(State.STARTING, "Another terminal is getting the embedded server ready.")

    def here(what: State, detail: str) -> Status:
        return Status(what, detail, record.pid, record.ports, record.ports.url, record.since, record.choice)

    if record.phase == STOPPED:
        return here(State.STOPPED, "The embedded server is just being stopped.")
    if _is_suspended(process):
        return here(State.UNRESPONSIVE, _why_suspended(record.pid))
    if record.phase == RUNNING and probe.is_alive(record.ports.rest, patience):
        return here(State.RUNNING, "The embedded server is running.")
    if record.phase == STARTING and _is_ready(record, patience):
        return here(State.RUNNING, "The embedded server is running.")
    if record.phase == STARTING and clock.seconds() - record.since < _LONGEST_START:
        return here(State.STARTING, "The embedded server is starting.")
    return here(State.UNRESPONSIVE, f"The embedded server's process {record.pid} is there but does not answer.")


def why_not(now: Status, restarts: bool) -> str:
    """Return why clients can't use the server that ``now`` describes, and what to do; "" if it has ports to try.

    ``restarts`` says whether somebody starts it again after a crash.
    """
    if now.state in (State.STOPPED, State.ABSENT) or (now.state is State.CRASHED and not restarts):
        return f"{now.detail} `streamcli server start` starts it."
    return now.detail if now.url is None or now.state is State.STARTING else ""


def _is_suspended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def _why_suspended(pid: int) -> str:
    with suppress(OSError):
        if locks.is_held(state.folder() / state.BACKUP_LOCK):
            return "The embedded server stands still while a backup is made, and goes on by itself."
    return f"The embedded server is suspended: kill -CONT {pid} lets it go on."


def _gone(record: Record) -> Status:
    """Return the status when the process of ``record`` is gone."""
    if record.phase == STOPPED:
        return Status(State.STOPPED, "The embedded server was stopped on purpose.")
    if record.phase == FETCHING:
        return Status(State.ABSENT, "The last start was broken off before there was a server.")
    lost = "" if record.choice.durable else ", and what it held too"
    return Status(State.CRASHED, f"The embedded server ended unexpectedly: its process {record.pid} is gone{lost}.")


def _is_ready(record: Record, patience: float) -> bool:
    """Return whether the server can be used. The password is sent only to the process that we started."""
    return probe.belongs_to(record.ports.rest, record.pid) and probe.is_ready(
        record.ports.rest, patience, _login_of(record)
    )


def login() -> Login | None:
    """Return the account for the server last started; None if it needs none. Only reads two small files."""
    record = state.read()
    return _login_of(record) if record else None


def _login_of(record: Record) -> Login | None:
    secret = credentials.read() if record.choice.auth else None
    return secret.login if secret else None


def ensure_running(
    progress: Progress, timeout: float, choice: ServerOptions | None = None, clock: Clock = SYSTEM
) -> str:
    """Return the URL of the ready server; start it if none runs, even if it was stopped deliberately.

    Without a ``choice`` it is started again with its last options after a crash, and with the default ones, in its last
    data folder, after a deliberate stop. With one, a server that runs with others is a UsageError.

    ``timeout`` is how many seconds Java may take to be ready, without the time for fetching jars or for waiting for
    another terminal that does the same. Raises Unreachable when it does not get ready or jars can't be fetched,
    Unusable without a Java, CannotCreate and FileTrouble for files.
    """
    now = status(clock=clock)
    if now.state is State.RUNNING and now.url and now.choice:
        _same(now.choice, choice)
        if now.choice.durable and (low := data.warning(launch.data_folder(now.choice))):
            progress.stage(low)
        return now.url
    with state.lock(state.START_LOCK, wait=False) as mine:
        if mine:
            return _ensure(progress, timeout, choice, clock)
    progress.stage("another terminal is starting the server, waiting for it")
    with state.lock(state.START_LOCK):
        return _ensure(progress, timeout, choice, clock)


def _same(runs: ServerOptions, wanted: ServerOptions | None) -> None:
    if wanted is None or _settled(runs) == _settled(wanted):
        return
    raise UsageError(
        f"The embedded server runs already, {in_words(runs)}. To have it otherwise, `streamcli server stop` first."
    )


def _settled(choice: ServerOptions) -> ServerOptions:
    return replace(choice, data=str(launch.data_folder(choice)))


def in_words(choice: ServerOptions) -> str:
    """Describe the options of a server."""
    where = f"with its data in {launch.data_folder(choice)}" if choice.durable else "in memory"
    return where if choice.auth else f"{where}, without a password"


def caveat() -> str:
    """Return what somebody who chats on the embedded server has to know of its options, "" if they are the usual ones.

    Only reads one small file.
    """
    choice = state.remembered()
    memory = "" if choice.durable else "Messages are kept in memory only and are lost when the server ends."
    open_ = "" if choice.auth else "The server asks for no password: every user of this machine can read and write."
    return f"{memory} {open_}".strip()


def _ensure(progress: Progress, timeout: float, choice: ServerOptions | None, clock: Clock) -> str:
    """ensure_running with the start lock held."""
    record, now = state.read(), status(clock=clock)
    if record and record.phase in (STARTING, RUNNING) and record.alive:
        _same(record.choice, choice)
        # Another terminal was faster; or the one that started it is gone, but its JVM is not.
        if now.state is State.UNRESPONSIVE:
            progress.stage(f"process {record.pid} is there but does not answer, waiting for it")
        return _wait_until_ready(record, progress, timeout, clock)
    if record and record.phase == STOPPED and record.alive:
        progress.stage("waiting for the old server to end")
        _wait_until_gone(record, timeout, clock)
    choice = choice or next_choice()
    if now.state is State.CRASHED:
        again = "starting it again" if choice.durable else "starting a new and empty one"
        progress.stage(f"the last server ended unexpectedly, {again}")
    me = psutil.Process()
    state.write(Record(FETCHING, me.pid, me.create_time(), Ports(), clock.seconds(), choice))
    try:
        runtime, jars = java(), ensure_jars(progress)
        url = _first_ready(runtime, jars, progress, timeout, choice, clock)
    except BaseException:
        if (last := state.read()) and last.phase == FETCHING:
            state.put_back(record)
        raise
    launch.make_archive_later(runtime, jars)
    return url


def next_choice() -> ServerOptions:
    """Return the options of a running server, else those of a start that names none.

    After a deliberate stop these are the defaults: nobody must write to memory only because somebody once tried.
    """
    record = state.read()
    if record is None:
        return ServerOptions()
    return ServerOptions(data=record.choice.data) if record.phase == STOPPED else record.choice


def _first_ready(
    runtime: Path, jars: list[Path], progress: Progress, timeout: float, choice: ServerOptions, clock: Clock
) -> str:
    """Launch the server; retry when another program took one of its ports, or when one of its parts gave up.

    After a crash the controller sometimes asks for its tables before the segment store has recovered them, and ends.
    """
    failure: Unreachable | None = None
    for prefer_usual in (True, False, False):
        begun = _launch(runtime, jars, progress, choice, prefer_usual, clock)
        try:
            return _wait_until_ready(begun, progress, timeout, clock)
        except _PortTaken:
            progress.stage("another program took one of the ports, trying others")
            stop(_KILL_WAIT, clock)
            failure = Unreachable("Other programs keep taking the embedded server's ports. Try again.")
        except _GaveUp as error:
            if clock.seconds() - begun.since < _SOON:
                raise
            progress.stage("a part of the server gave up, starting it once more")
            failure = error
    assert failure
    raise failure


def _launch(
    runtime: Path, jars: list[Path], progress: Progress, choice: ServerOptions, prefer_usual: bool, clock: Clock
) -> Record:
    progress.stage("starting Java")
    ports, known = probe.free_ports(prefer_usual), vars(Ports())
    if prefer_usual and (moved := [known[name] for name, port in vars(ports).items() if port != known[name]]):
        progress.stage(f"{_words(moved)} taken by other programs, using other ports")
    pid = launch.launch(runtime, jars, ports, choice)
    record = Record(STARTING, pid, _created(pid), ports, clock.seconds(), choice)
    state.write(record)
    if choice.durable and (low := data.warning(launch.data_folder(choice))):
        progress.stage(low)
    return record


def _words(ports: list[int]) -> str:
    return f"port {ports[0]} is" if len(ports) == 1 else f"ports {', '.join(map(str, ports))} are"


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0  # it has ended already; the wait reports that


def _wait_until_ready(record: Record, progress: Progress, timeout: float, clock: Clock) -> str:
    """Wait until the server of ``record`` is ready, reporting its stages as seen from outside."""
    ports = record.ports
    stages = [
        (ports.zookeeper, "ZooKeeper is up"),
        (ports.segment_store, "segment store is up"),
        (ports.rpc, "controller is up"),
    ]
    begun = looked = clock.monotonic()
    while not _is_ready(record, patience=1.0):
        now = clock.monotonic()
        ended = not record.alive
        if record.phase == STARTING and (ended or now - looked > _LOOK_AT_LOG):
            looked = now
            if launch.port_was_taken():
                raise _PortTaken
        if ended:
            raise _ended(record)
        if now - begun > timeout:
            raise Unreachable(
                f"The embedded server is not ready after {timeout:g} s; its process {record.pid} goes on. Try again, "
                f"or end it with `streamcli server stop`. Its log: {state.log_path()}."
            )
        if stages and probe.is_listening(stages[0][0]):
            progress.stage(stages.pop(0)[1])
        else:
            clock.sleep(_POLL)
    if record.phase == STARTING:
        if not record.alive or not state.change(record.pid, (STARTING, RUNNING), RUNNING, clock.seconds()):
            raise _ended(record)
        progress.stage(f"ready at {ports.url}")
    return ports.url


def _ended(record: Record) -> Unreachable:
    now = state.read()
    if now and now.phase == STOPPED:
        return Unreachable("The embedded server was stopped while it started.")
    words = launch.last_words()
    said = f' with "{words}"' if words else ""
    return _GaveUp(f"The embedded server ended while it started{said}. Its log: {state.log_path()}.")


def _wait_until_gone(record: Record, timeout: float, clock: Clock) -> None:
    end = clock.monotonic() + timeout
    while record.alive:
        if clock.monotonic() > end:
            raise Unreachable(f"The old server (process {record.pid}) does not end. Try `streamcli server stop` again.")
        clock.sleep(_POLL)


def stop(timeout: float, clock: Clock = SYSTEM) -> bool:
    """Stop the server, by force after ``timeout`` seconds if necessary; return False if none ran.

    Raises NotPermitted when it belongs to another user, Unreachable when even force does not end it.
    """
    record = state.read()
    if record is None or record.phase == FETCHING:
        return False
    # Written before the first signal, so that an open chat that loses its server now can tell why.
    state.change(record.pid, (STARTING, RUNNING), STOPPED, clock.seconds())
    process = state.process(record)
    if process is None:
        return False
    try:
        process.terminate()
        process.resume()  # a suspended process would not receive the signal
        try:
            process.wait(timeout)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(_KILL_WAIT)
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied as error:
        raise NotPermitted(f"Process {record.pid} of the embedded server can't be ended: no permission.") from error
    except psutil.TimeoutExpired as error:
        raise Unreachable(f"Process {record.pid} of the embedded server can't be ended, even by force.") from error
    with state.lock(state.START_LOCK, wait=False) as mine:
        # The next start empties the folder as well, and a running server must not lose it.
        now = state.read()
        if mine and now and now.pid == record.pid:
            launch.clean(state.folder())
    return True
