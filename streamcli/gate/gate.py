"""The gate: decides who each caller is, and serves guests, people who join, and the owner's own commands."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from streamcli.errors import NotPermitted, StreamcliError, Unreachable
from streamcli.gate.audit import Audit
from streamcli.gate.certificates import GateKeys, fingerprint_of
from streamcli.gate.event_check import refusal
from streamcli.gate.floor import floor_fields, floor_of
from streamcli.gate.gate_settings import GateSettings
from streamcli.gate.guest_connection import GuestConnection, Pass
from streamcli.gate.guest_frames import Misbehaves
from streamcli.gate.guest_list import UNKNOWN, Guest, GuestList, Invite, Listed
from streamcli.gate.hub import Hub
from streamcli.gate.port import Caller
from streamcli.gate.signing import sign_apart
from streamcli.gate.token_bucket import USUAL_RATE, Rate, TokenBucket
from streamcli.log.frames import Frame, pack_json
from streamcli.log.gate.tls import JOIN_PROTOCOL, LOG_PROTOCOL
from streamcli.model.invitation import secret_hash
from streamcli.system.clock import SYSTEM, Clock

ASKS_WITHIN: Final = 5.0  # seconds for a request of one line
MOST_CONNECTIONS: Final = 16  # of one guest
MOST_PASTS: Final = 2  # of one guest's connections that read the log themselves
NO_GUEST: Final = "You are no longer a guest here."
_TROUBLE = "The gate is in trouble just now. Its owner finds the reason in the log."
_LONGEST_LINE = 8192
_BEAT = 1.0
_NO_INVITATION = "a used, expired or unknown invitation"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Files:
    """What the gate keeps on the disk."""

    keys: GateKeys
    guests: GuestList
    audit: Audit


@dataclass(frozen=True)
class _Share:
    """What all connections of one guest share."""

    bucket: TokenBucket
    pasts: asyncio.Semaphore


class Gate:
    """Serves callers. All calls are for the loop's thread."""

    def __init__(
        self,
        hub: Hub,
        files: Files,
        settings: GateSettings,
        places: Callable[[], list[tuple[str, int]]],
        rate: Rate = USUAL_RATE,
        clock: Clock = SYSTEM,
        check: Callable[[str, str, bytes], str] = refusal,
    ) -> None:
        """``places`` returns the hosts and ports at which guests may reach the gate now; ``check`` is what is
        checked of each event of a guest's. Raises FileTrouble.
        """
        self._hub, self._files, self._settings, self._places = hub, files, settings, places
        self._rate, self._clock, self._check = rate, clock, check
        self._listed = files.guests.read()
        self._owner = fingerprint_of(files.keys.der())
        self._shares: dict[str, _Share] = {}
        self._here: dict[GuestConnection, str] = {}  # the fingerprints of their certificates
        self._dismissed = 0  # connections, since the owner was told

    @property
    def listed(self) -> Listed:
        """Who may come in."""
        return self._listed

    async def beat(self) -> None:
        """Send heartbeats for ever."""
        while True:
            await asyncio.sleep(_BEAT)
            for guest in list(self._here):
                guest.beat()

    def look(self) -> None:
        """Read the list anew, and end the connections of who is no longer in it. Raises FileTrouble."""
        self._listed = self._files.guests.read()
        for one, fingerprint in list(self._here.items()):
            if self._listed.by_fingerprint(fingerprint) is None and not one.is_ending:
                one.dismiss(NO_GUEST)
                self._dismissed += 1

    async def talk(self, caller: Caller) -> None:
        """Serve a caller until the connection ends."""
        if caller.protocol == LOG_PROTOCOL:
            await self._guest(caller)
        elif caller.protocol == JOIN_PROTOCOL:
            await self._answer(caller, partial(self._join, caller))
        elif caller.certificate and hmac.compare_digest(fingerprint_of(caller.certificate), self._owner):
            caller.known()
            await self._answer(caller, self._command)

    # Guests.

    async def _guest(self, caller: Caller) -> None:
        fingerprint = fingerprint_of(caller.certificate) if caller.certificate else ""
        guest = self._listed.by_fingerprint(fingerprint)
        name = guest.name if guest else ""
        if guest is None or sum(one.name == name for one in self._here) >= MOST_CONNECTIONS:
            why = f"You are here {MOST_CONNECTIONS} times already." if guest else NO_GUEST
            self._files.audit.refuse_stranger(caller.address, f"{name} is here too often" if guest else "not a guest")
            caller.writer.write(pack_json(Frame.FAILED, kind="denied", text=why))
            return
        caller.known()
        share = self._shares.setdefault(
            name, _Share(TokenBucket(self._rate, self._clock.monotonic), asyncio.Semaphore(MOST_PASTS))
        )
        allowed = Pass(name, share.bucket, share.pasts, partial(self._check, name), floor_of(guest.floor))
        connection = GuestConnection(self._hub, allowed, caller.reader, caller.writer, self._clock.monotonic)
        self._here[connection] = fingerprint
        self._files.audit.say("came", name, caller.address)
        try:
            await connection.serve(self._welcome(name))
        except Misbehaves as error:
            self._files.audit.say("refused", name, caller.address, str(error))
        except StreamcliError as error:
            connection.dismiss(str(error))
        finally:
            del self._here[connection]
            self._files.audit.say("went", name, caller.address)

    def _welcome(self, name: str) -> dict[str, Any]:
        stream = f"{self._settings.scope}/{self._settings.stream}"
        return {"name": name, "owner": self._settings.owner, "stream": stream, "places": self._places()}

    # Requests of one line of JSON, answered by one.

    async def _answer(self, caller: Caller, work: Callable[[dict[str, Any]], Any]) -> None:
        try:
            line = await asyncio.wait_for(caller.reader.readline(), ASKS_WITHIN)
            request = json.loads(line) if len(line) <= _LONGEST_LINE else None
            if not isinstance(request, dict):
                return
            answer = await work(request)
        except (ValueError, RecursionError, asyncio.TimeoutError, TimeoutError):
            return
        except (NotPermitted, Unreachable) as error:
            answer = {"refused": str(error), "code": error.exit_code}
        except StreamcliError as error:  # it may name files of the owner's
            _log.error("a request can't be answered: %s", error)
            answer = {"refused": _TROUBLE, "code": Unreachable.exit_code}
        caller.writer.write(json.dumps(answer).encode() + b"\n")

    async def _join(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        try:
            secret, public = bytes.fromhex(request["secret"]), str(request["key"])
        except (KeyError, ValueError, TypeError):
            raise NotPermitted("This gate does not understand the request to join.") from None
        self.look()
        key = secret_hash(public.encode("utf-8", "surrogatepass"))
        waiting = self._listed.usable(secret, key, self._clock.seconds())
        if waiting is None:
            self._files.audit.refuse_stranger(caller.address, _NO_INVITATION)
            raise NotPermitted(UNKNOWN)
        caller.known()
        floor = await self._end_of_log() if waiting.since_joining else None
        try:  # before the invitation is used: meanwhile the list is not locked
            certificate = await asyncio.to_thread(sign_apart, self._files.keys, waiting.name, public)
        except ValueError:
            raise NotPermitted("This gate can't use the key of who joins.") from None

        def made(invite: Invite) -> Guest:
            return Guest(invite.name, _fingerprint(certificate), self._clock.seconds(), caller.address, floor)

        try:
            guest = await asyncio.to_thread(self._files.guests.use, secret, key, made)
        except NotPermitted:
            self._files.audit.refuse_stranger(caller.address, _NO_INVITATION)
            raise
        self.look()
        self._files.audit.say("joined", guest.name, caller.address)
        return {"certificate": certificate, **self._welcome(guest.name)}

    async def _end_of_log(self) -> dict[str, Any]:
        """Return where the log ends, for who may not read the past."""
        end = self._clock.monotonic() + ASKS_WITHIN
        while not self._hub.reader.is_current:
            if self._clock.monotonic() > end:
                raise Unreachable("The gate has no connection to its log just now. Try again in a moment.")
            await asyncio.sleep(0.05)
        return floor_fields(self._hub.reader.ring.cursor)

    async def _command(self, request: dict[str, Any]) -> dict[str, Any]:
        self.look()
        closed, self._dismissed = self._dismissed, 0
        here = Counter(one.name for one in self._here if not one.is_ending)
        return {"closed": closed, "here": here, "places": self._places()}


def _fingerprint(certificate: str) -> str:
    return fingerprint_of(ssl.PEM_cert_to_DER_cert(certificate))
