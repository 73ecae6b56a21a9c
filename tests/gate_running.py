"""A gate in a thread of the tests' own, and guests of it who need not be invited."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from streamcli.gate.audit import Audit
from streamcli.gate.certificates import GateKeys, fingerprint_of, new_guest_key, server_context
from streamcli.gate.event_check import refusal
from streamcli.gate.gate import Files, Gate
from streamcli.gate.gate_settings import GateSettings
from streamcli.gate.guest_list import Guest, GuestList
from streamcli.gate.hub import Hub, OpenLog
from streamcli.gate.port import USUAL_LIMITS, Limits, Port
from streamcli.gate.token_bucket import USUAL_RATE, Rate
from streamcli.log.api import ConnectionStatus, Target
from streamcli.log.gate.tls import GATE_CERTIFICATE, MY_CERTIFICATE, MY_KEY
from streamcli.log.opening import open_log
from streamcli.model.address import Stream, WantedClient, parse_url
from streamcli.model.cursor import Cursor
from streamcli.model.invitation import pin_of
from streamcli.model.joined_chat import JoinedChat
from streamcli.saved_chats import save_chat
from streamcli.system.clock import SYSTEM, Clock
from tests.memory_log import MemoryLog
from tests.memory_stream import MemoryStream

Check = Callable[[str, str, bytes], str]


class GateThread:
    """A gate on a free port of loopback, for one stream: of the server with this URL, or in memory."""

    def __init__(
        self, folder: Path, server: str | MemoryStream, stream: str = "stream", client: WantedClient | None = None
    ) -> None:
        self.folder, self.keys = folder, GateKeys(folder / "gate")
        self.keys.ensure()
        self.guests = GuestList(folder / "gate")
        self.audit = Audit(folder / "gate")
        self.settings = GateSettings("owner", "scope", stream)
        self._open_log = self._opening(server, client)
        self.logs: list[MemoryLog] = []  # those in memory that were opened, the gate's own first
        self.port = self._kept_by_system = 0
        self.gate: Gate | None = None
        self.hub: Hub | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._ended: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def send_little_ahead(self) -> None:
        """Have the system keep little of what guests don't read, so that the gate has to. Call it before it runs."""
        self._kept_by_system = 1 << 16

    @contextlib.contextmanager
    def running(
        self,
        check: Check = refusal,
        rate: Rate = USUAL_RATE,
        limits: Limits = USUAL_LIMITS,
        begin: Cursor | None = None,
        clock: Clock = SYSTEM,
    ) -> Iterator[None]:
        """Meanwhile the gate runs; when it runs again, it does so on the same port."""
        self._ready.clear()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(check, rate, limits, begin, clock)), name="gate-of-tests", daemon=True
        )
        self._thread.start()
        assert self._ready.wait(20)
        try:
            yield
        finally:
            assert self._loop and self._ended
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(20)
            assert not self._thread.is_alive()

    async def _main(self, check: Check, rate: Rate, limits: Limits, begin: Cursor | None, clock: Clock) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        listening = socket.create_server(("127.0.0.1", self.port))
        listening.setblocking(False)
        if self._kept_by_system:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._kept_by_system)
        self.port = listening.getsockname()[1]
        self.hub = Hub(self._open_log, begin, clock)
        files = Files(self.keys, self.guests, self.audit)
        places = [("127.0.0.1", self.port)]
        self.gate = Gate(self.hub, files, self.settings, lambda: places, rate, clock, check)
        port = Port(server_context(self.keys), self.gate.talk, limits)
        works = [self.hub.run(), port.serve([listening]), self.gate.beat(), self._ended.wait()]
        tasks = [asyncio.ensure_future(work) for work in works]
        self._ready.set()
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self.hub.close()
        for task in tasks[1:]:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    def _opening(self, server: str | MemoryStream, client: WantedClient | None) -> OpenLog:
        if isinstance(server, MemoryStream):

            def in_memory(on_status: Callable[[ConnectionStatus], None]) -> MemoryLog:
                self.logs.append(MemoryLog(server, on_status))
                return self.logs[-1]

            return in_memory
        controller, stream = parse_url(server), Stream(stream=self.settings.stream)
        target = Target(stream, "owner", lambda: controller, self.folder / "groups", subprocess.DEVNULL, client)
        return lambda on_status: open_log(target, on_status)

    @property
    def memory_log(self) -> MemoryLog:
        """The gate's own log, in memory."""
        return self.logs[0]

    def here(self) -> list[asyncio.WriteTransport]:
        """The connections of guests."""
        assert self.gate
        return [one._writer.transport for one in tuple(self.gate._here)]

    def unsent(self) -> int:
        """How many bytes wait in the gate to be sent to guests, in all."""
        return sum(one.get_write_buffer_size() for one in self.here())

    def call(self, what: Callable[[], object]) -> None:
        """Have something called in the gate's loop."""
        assert self._loop
        self._loop.call_soon_threadsafe(what)

    def guest(self, name: str, floor: dict[str, object] | None = None) -> JoinedChat:
        """Return the chat of somebody who has joined as ``name``."""
        folder = let_in(self.keys, self.guests, name, self.folder / f"guest-{name}", floor)
        if self._loop and self.gate:
            self.call(self.gate.look)
        pin = pin_of(self.keys.der()).hex()
        chat = JoinedChat("owner", name, folder, (("127.0.0.1", self.port),), pin, str(self.settings.full_stream))
        save_chat(chat)
        return chat


def let_in(keys: GateKeys, guests: GuestList, name: str, folder: Path, floor: dict[str, object] | None = None) -> Path:
    """Add somebody to a gate's list, as if they had joined; return ``folder``, then with their key and certificates."""
    key, public = new_guest_key()
    certificate = keys.sign(name, public)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MY_KEY).write_text(key)
    (folder / MY_CERTIFICATE).write_text(certificate)
    (folder / GATE_CERTIFICATE).write_text(keys.certificate.read_text())
    guest = Guest(name, fingerprint_of(ssl.PEM_cert_to_DER_cert(certificate)), 0.0, "127.0.0.1", floor)
    secret = f"of {name}".encode()
    guests.invite(name, secret, "owner", time.time() + 60, False)
    guests.use(secret, "a key", lambda invite: guest)
    return folder
