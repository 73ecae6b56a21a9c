"""The gate's process: it runs as long as the server is meant to run, and as anybody is a guest or invited."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from streamcli import server
from streamcli.config import settle
from streamcli.errors import StreamcliError, Unusable
from streamcli.gate.audit import Audit
from streamcli.gate.certificates import GateKeys, server_context
from streamcli.gate.gate import Files, Gate
from streamcli.gate.gate_settings import SETTINGS, GateSettings, read_settings
from streamcli.gate.guest_list import GuestList
from streamcli.gate.hub import Hub
from streamcli.gate.port import Port, listen
from streamcli.log import opening
from streamcli.log.api import Target
from streamcli.model.cursor import Cursor
from streamcli.server.gate_keeper import GUESTS, LOCK
from streamcli.server.own_addresses import own_addresses
from streamcli.system import log_file, private_files
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.locks import try_hold
from streamcli.system.paths import ensure_dir, gate_dir, gate_state_dir, state_dir

STATE: Final = "state.json"
_TIMEOUT = 60.0  # seconds for a start of the server that crashed
_STEP = 0.5  # seconds between two looks at files and server
_SAVED_EVERY = 4  # steps
_FRESH = 600.0  # seconds for which a saved position is worth reading from
_LOCK_WITHIN = 2.0  # seconds: somebody may just be asking whether it is held

_log = logging.getLogger(__name__)


def run(clock: Clock = SYSTEM) -> int:
    """Run until the gate is not wanted any more; return the exit code. A second gate ends at once."""
    log_file.set_up(verbose=False)
    folder = ensure_dir(gate_state_dir())
    end = clock.monotonic() + _LOCK_WITHIN
    while (held := try_hold(folder / LOCK)) is None:
        if clock.monotonic() > end:
            return 0
        clock.sleep(0.05)
    sys.setswitchinterval(0.0005)
    try:
        settings, guests = read_settings(), GuestList(gate_dir(), clock)
        if settings is None or not guests.is_wanted():
            return 0
        opening.prepare(settle({}, os.environ).client, server.Quiet())
        with log_file.worker_log() as worker_log:
            asyncio.run(_Process(settings, guests, clock).run(worker_log.fileno()))
        return 0
    except StreamcliError as error:
        _log.error("the gate ends: %s", error)
        private_files.write(folder / STATE, json.dumps({"pid": os.getpid(), "trouble": str(error)}))
        return error.exit_code
    finally:
        os.close(held)


class _Process:
    """Runs the gate in a loop."""

    def __init__(self, settings: GateSettings, guests: GuestList, clock: Clock) -> None:
        self._settings, self._guests, self._clock = settings, guests, clock
        self._position = gate_state_dir() / "position.json"

    async def run(self, worker_log: int) -> None:
        keys = GateKeys(gate_dir())
        keys.ensure()
        listening = listen(self._settings.port)
        for port in self._settings.earlier_ports:
            with contextlib.suppress(Unusable):
                listening += listen(port)
        own = settle({}, os.environ)
        locate = server.locating(True, _TIMEOUT)
        target = Target(
            self._settings.full_stream, self._settings.owner, locate, state_dir() / "groups", worker_log, own.client
        )
        hub = Hub(
            lambda on_status: opening.open_log(target, on_status, self._clock), self._saved_position(), self._clock
        )
        files = Files(keys, self._guests, Audit(gate_dir(), self._clock))
        gate = Gate(hub, files, self._settings, self._places, clock=self._clock)
        entrance = Port(server_context(keys), gate.talk)
        private_files.write(gate_state_dir() / STATE, json.dumps({"pid": os.getpid(), "port": self._settings.port}))
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        works = [hub.run(), entrance.serve(listening), gate.beat(), self._until_unwanted(gate, hub), ended.wait()]
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            self._save_position(hub)
            hub.close()
            for task in tasks[1:]:
                task.cancel()
            await asyncio.wait(tasks, timeout=1.0)

    def _places(self) -> list[tuple[str, int]]:
        return [(host, self._settings.port) for host in (*self._settings.hosts, *own_addresses())]

    async def _until_unwanted(self, gate: Gate, hub: Hub) -> None:
        steps = 0
        changed, set_anew = _changes(gate_dir() / GUESTS), _changes(gate_dir() / SETTINGS)
        while self._guests_are_wanted(gate) and server.status(0.02).state is not server.State.STOPPED:
            await asyncio.sleep(_STEP)
            if changed():
                gate.look()
            if set_anew() and (settings := read_settings()):
                self._settings = settings  # other addresses to tell guests; for another port it is started again
            steps += 1
            if steps % _SAVED_EVERY == 0:
                self._save_position(hub)

    def _guests_are_wanted(self, gate: Gate) -> bool:
        listed = gate.listed
        return bool(listed.guests or listed.waiting(self._clock.seconds()))

    # Where the ring begins: after a crash, guests who were nearly up to date need not read the log themselves.

    def _save_position(self, hub: Hub) -> None:
        base = hub.reader.ring.base
        if base.offsets:
            last = (*base.last[:2], base.last[2].hex()) if base.last else None
            fields = {"log": base.log, "offsets": dict(base.offsets), "last": last, "at": self._clock.seconds()}
            try:
                private_files.write(self._position, json.dumps(fields))
            except StreamcliError as error:
                _log.warning("the position can't be saved: %s", error)

    def _saved_position(self) -> Cursor | None:
        try:
            fields = json.loads(self._position.read_bytes())
            if self._clock.seconds() - fields["at"] > _FRESH:
                return None
            last = fields["last"]
            return Cursor(
                fields["log"], fields["offsets"], (last[0], last[1], bytes.fromhex(last[2])) if last else None
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None


def _changes(path: Path) -> Callable[[], bool]:
    """Return a function that tells whether the file has changed since it was called last."""

    def stamp() -> tuple[int, int]:
        try:
            found = path.stat()
            return found.st_mtime_ns, found.st_ino
        except OSError:
            return 0, 0

    last = stamp()

    def changed() -> bool:
        nonlocal last
        before, last = last, stamp()
        return before != last

    return changed
