"""Who may come in: guests by the fingerprints of their certificates, and invitations that wait.

Both files are changed under a lock, by the gate and by the owner's commands; no secret is in them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from streamcli.errors import FileTrouble, NotPermitted, UsageError
from streamcli.gate.gate_settings import read_settings
from streamcli.model.address import Stream
from streamcli.model.invitation import secret_hash
from streamcli.model.look_alikes import look_alike
from streamcli.server.gate_keeper import GUESTS
from streamcli.system import private_files
from streamcli.system.clock import SYSTEM, Clock
from streamcli.system.locks import locked
from streamcli.system.paths import ensure_dir, gate_dir

AGAIN_WITHIN: Final = 600.0  # seconds in which a join that was cut off may be repeated with the same key
UNKNOWN: Final = "This invitation is used, expired or unknown. Ask for a new one."


@dataclass(frozen=True)
class Guest:
    """Who has joined: when (seconds since 1970), from where, and from where on they may read (`floor_fields`)."""

    name: str
    fingerprint: str
    joined: float
    address: str
    floor: dict[str, Any] | None = None


@dataclass(frozen=True)
class Invite:
    """An invitation that waits, or was used a moment ago with the public key whose hash is ``key``."""

    name: str
    expires: float  # seconds since 1970
    since_joining: bool = False
    used: float | None = None
    key: str = ""

    def lasts(self, now: float) -> bool:
        """Whether it can be used, or, if it was used, whether that may still be repeated."""
        return now - self.used <= AGAIN_WITHIN if self.used else self.expires > now


@dataclass
class Listed:
    """What the file holds: guests by name, invitations by the hashes of their secrets."""

    guests: dict[str, Guest] = field(default_factory=dict)
    invites: dict[str, Invite] = field(default_factory=dict)

    def by_fingerprint(self, fingerprint: str) -> Guest | None:
        """Return the guest with this certificate."""
        return next((guest for guest in self.guests.values() if guest.fingerprint == fingerprint), None)

    def usable(self, secret: bytes, key: str, now: float) -> Invite | None:
        """Return the invitation with this secret if it can be used with the public key whose hash is ``key``."""
        invite = self.invites.get(secret_hash(secret))
        if invite is None or not invite.lasts(now) or (invite.used and invite.key != key):
            return None
        return invite

    def waiting(self, now: float) -> dict[str, Invite]:
        """Return the invitations that can be used."""
        return {hash: invite for hash, invite in self.invites.items() if not invite.used and invite.lasts(now)}


class GuestList:
    """The list in ``folder``. Calls may wait for the disk; all raise CannotCreate or FileTrouble."""

    def __init__(self, folder: Path, clock: Clock = SYSTEM) -> None:
        self._folder, self._file, self._clock = folder, folder / GUESTS, clock

    def read(self) -> Listed:
        """Return what is in the list now."""
        try:
            stored = json.loads(self._file.read_bytes())
            return Listed(
                {name: Guest(**fields) for name, fields in stored["guests"].items()},
                {hash: Invite(**fields) for hash, fields in stored["invites"].items()},
            )
        except FileNotFoundError:
            return Listed()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileTrouble(f"{self._file} can't be used ({error}). Remove it and invite anew.") from error

    def is_wanted(self) -> bool:
        """Whether anybody may come in now, or will be able to."""
        listed = self.read()
        return bool(listed.guests or listed.waiting(self._clock.seconds()))

    def invite(self, name: str, secret: bytes, owner: str, expires: float, since_joining: bool) -> list[str]:
        """Add an invitation. Raises UsageError if the name is somebody's.

        Invitations that wait for the same name, or for one that looks like it, are void: their names are returned.
        """
        void = []
        with self._changing() as listed:
            _refuse_taken(name, [owner, *listed.guests])
            for hash, invite in list(listed.invites.items()):
                if look_alike(invite.name, name):
                    void += [] if invite.used else [invite.name]
                    del listed.invites[hash]
            listed.invites[secret_hash(secret)] = Invite(name, expires, since_joining)
        return void

    def use(self, secret: bytes, key: str, make: Callable[[Invite], Guest]) -> Guest:
        """Use an invitation with the public key whose hash is ``key``; ``make`` returns the guest whom it lets in.

        All of it happens, or nothing. Raises NotPermitted if the invitation can't be used, and what ``make`` raises.
        """
        with self._changing() as listed:
            now = self._clock.seconds()
            invite = listed.usable(secret, key, now)
            if invite is None:
                raise NotPermitted(UNKNOWN)
            listed.invites[secret_hash(secret)] = replace(invite, used=invite.used or now, key=key)
            guest, before = make(invite), listed.guests.get(invite.name)
            if before:
                guest = replace(guest, floor=before.floor)  # a join that is repeated does not move the beginning
            listed.guests[invite.name] = guest
            return guest

    def remove(self, name: str) -> bool:
        """Remove a guest, and their invitations; return whether there was any."""
        with self._changing() as listed:
            invites = [hash for hash, invite in listed.invites.items() if invite.name == name]
            for hash in invites:
                del listed.invites[hash]
            return bool(listed.guests.pop(name, None) or invites)

    @contextmanager
    def _changing(self) -> Iterator[Listed]:
        ensure_dir(self._folder)
        with locked(self._folder / "guests.lock"):
            listed = self.read()
            yield listed
            now = self._clock.seconds()
            kept = {hash: invite for hash, invite in listed.invites.items() if invite.lasts(now)}
            guests = {name: asdict(guest) for name, guest in listed.guests.items()}
            invites = {hash: asdict(invite) for hash, invite in kept.items()}
            private_files.write(self._file, json.dumps({"guests": guests, "invites": invites}, indent=1))


def refuse_guests_name(name: str, stream: Stream) -> None:
    """Raise UsageError if ``name`` is, or looks like, the name of a guest of this stream: their key holds it."""
    settings = read_settings()
    if settings is None or settings.full_stream != stream:
        return
    for guest in GuestList(gate_dir()).read().guests:
        if look_alike(name, guest):
            looks = "is" if name == guest else f"looks like {guest}, which is"
            raise UsageError(f"{name} {looks} a guest's name in this chat, held by their key: choose another --id.")


def _refuse_taken(name: str, taken: list[str]) -> None:
    for other in taken:
        if name == other:
            raise UsageError(
                f"{name} is in this chat already. Choose another name, or `streamcli uninvite` them first."
            )
        if look_alike(name, other):
            raise UsageError(f"{name} looks like {other}, who is in this chat already. Choose another name.")
