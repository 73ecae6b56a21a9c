"""``streamcli join`` and ``chats``: chats of other people."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import shlex
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from streamcli.cli.usage import COMMANDS
from streamcli.errors import NotPermitted, Unreachable, UsageError
from streamcli.gate.certificates import new_guest_key, public_half
from streamcli.log.gate.connection import worded
from streamcli.log.gate.gate_frames import is_admission, words_of
from streamcli.log.gate.tls import GATE_CERTIFICATE, GATE_NAME, MY_CERTIFICATE, MY_KEY, joining_context
from streamcli.model.invitation import Invitation, parse_invitation, pin_of, secret_hash
from streamcli.model.joined_chat import JoinedChat
from streamcli.model.names import valid_id
from streamcli.saved_chats import chats_folder, folder_of, save_chat, saved_chat, saved_chats
from streamcli.system import private_files
from streamcli.system.clock import Clock
from streamcli.system.paths import embedded_server_record, ensure_dir

ASK: Final = "The line you were sent: "
_CONNECTS_WITHIN = 5.0  # seconds, for each address


@dataclass(frozen=True)
class Joining:
    """The request of ``join``: the invitation, under which name to save the chat, and another address of the gate."""

    invitation: Invitation
    saved_as: str | None = None
    at: tuple[str, int] | None = None


def asked(source: TextIO, err: TextIO) -> str:
    """Ask for the line, so that it stands neither in the shell's history nor in the list of processes."""
    if source.isatty():
        err.write(ASK)
        err.flush()
    text = source.readline()
    if not text.strip():
        raise UsageError("No line was given: `streamcli join LINE`, or paste it when asked.")
    while not _is_whole(text) and (more := source.readline()).strip():  # a mail may have wrapped it
        text += more
    return text


def _is_whole(text: str) -> bool:
    try:
        parse_invitation(text)
    except UsageError:
        return False
    return True


def joining(line: str, saved_as: str | None, at: str | None) -> Joining:
    """Read the arguments. Raises UsageError."""
    invitation = parse_invitation(line)
    if saved_as is not None:
        saved_as = _chat_name(saved_as)
        there = saved_chat(saved_as)
        if there and not _is_same(there, invitation):
            raise UsageError(f"There is a chat {there.name} already: choose another name with --as.")
    return Joining(invitation, saved_as, _place(at, invitation.port) if at is not None else None)


def _chat_name(text: str) -> str:
    name = valid_id(text)
    if _is_reserved(name):
        raise UsageError(f"A chat can't be called {name}, which means something else to streamcli.")
    return name


def _is_reserved(name: str) -> bool:
    return name in COMMANDS or "://" in name or name.startswith("-")


def _place(text: str, port: int) -> tuple[str, int]:
    host, colon, number = text.rpartition(":")
    if not colon or (":" in host.strip("[]") and not host.startswith("[")):
        return text.strip("[]"), port
    if not number.isdecimal() or not 0 < int(number) < 65_536 or not host:
        raise UsageError(f"--at takes a host, or a host and a port such as chat.example.org:4483 (got {text}).")
    return host.strip("[]"), int(number)


def join(wanted: Joining, out: TextIO, clock: Clock) -> JoinedChat:
    """Join, save the chat and return it. Raises NotPermitted, Unreachable and errors of files."""
    invitation = wanted.invitation
    # The key outlives an attempt that is cut off, so that the next one can be recognised as the same.
    trying = ensure_dir(chats_folder() / f"_joining-{secret_hash(invitation.secret)[:16]}")
    key = _kept_key(trying / MY_KEY)
    places = (wanted.at,) if wanted.at else tuple((host, invitation.port) for host in invitation.hosts)
    # Who was removed and is invited again goes on in the same chat, with its history.
    before = next((chat for chat in saved_chats() if _is_same(chat, invitation)), None)
    try:
        answer = asyncio.run(_ask(places, invitation, public_half(key)))
    except NotPermitted as error:
        _forget(trying)
        opens = f" You joined this chat as {before.name}: `streamcli {shlex.quote(before.name)}`." if before else ""
        raise NotPermitted(f"{error}{opens}") from None
    name = wanted.saved_as or (before.name if before else _free_name(str(answer["owner"])))
    folder = ensure_dir(folder_of(name))
    for file, content in (
        (MY_KEY, key),
        (MY_CERTIFICATE, str(answer["certificate"])),
        (GATE_CERTIFICATE, str(answer["gate"])),
    ):
        private_files.write(folder / file, content)
    found = tuple((str(host), int(port)) for host, port in answer["places"])
    known = tuple(dict.fromkeys((answer["place"], *places, *found)))
    pin = pin_of(answer["der"]).hex()
    chat = JoinedChat(name, invitation.name, folder, known, pin, str(answer["stream"]), clock.seconds())
    save_chat(chat)
    _forget(trying)
    others = embedded_server_record().exists()
    opens = f"streamcli {shlex.quote(name)}" if others else "streamcli"
    out.write(f"You are in, as {chat.guest}. From now on `{opens}` opens this chat.\n")
    return chat


def _is_same(chat: JoinedChat, invitation: Invitation) -> bool:
    return chat.pin == invitation.pin.hex() and chat.guest == invitation.name


def _forget(trying: Path) -> None:
    with contextlib.suppress(OSError):
        (trying / MY_KEY).unlink(missing_ok=True)
        trying.rmdir()


def _kept_key(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        key, _ = new_guest_key()
        private_files.write(path, key)
        return key


def _free_name(owner: str) -> str:
    taken = {chat.name for chat in saved_chats()}
    if owner not in taken and not _is_reserved(owner):
        return owner
    number = 2
    while f"{owner}-{number}" in taken:
        number += 1
    return f"{owner}-{number}"


async def _ask(places: tuple[tuple[str, int], ...], invitation: Invitation, public: str) -> dict[str, Any]:
    """Ask the first gate that answers, at each place in turn."""
    for host, port in places:
        try:
            return await asyncio.wait_for(_ask_at(host, port, invitation, public), 2 * _CONNECTS_WITHIN)
        except (OSError, UnicodeError, asyncio.TimeoutError, TimeoutError, asyncio.IncompleteReadError) as error:
            last = f"{host}:{port}: {worded(error)}"
        except Unreachable as error:  # another server answers: perhaps it has the same address in another network
            last = str(error)
    raise Unreachable(f"The gate can't be reached: {last.rstrip('.')}. Is its machine on, and its port open to you?")


async def _ask_at(host: str, port: int, invitation: Invitation, public: str) -> dict[str, Any]:
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(host, port, ssl=joining_context(), server_hostname=GATE_NAME), _CONNECTS_WITHIN
    )
    try:
        der: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
        if not hmac.compare_digest(pin_of(der), invitation.pin):
            raise Unreachable(f"Another server answers at {host}:{port}.")
        writer.write(json.dumps({"secret": invitation.secret.hex(), "key": public}).encode() + b"\n")
        answer = json.loads(await reader.readline() or b"null")
    except (ValueError, RecursionError):
        answer = None
    finally:
        writer.transport.abort()
    if not isinstance(answer, dict):
        raise ConnectionError("the gate has closed the connection")
    if isinstance(refused := answer.get("refused"), str):
        raise (NotPermitted if answer.get("code") == NotPermitted.exit_code else Unreachable)(words_of(refused))
    if not is_admission(answer):
        raise ConnectionError("what the gate says can't be used")
    return {**answer, "der": der, "gate": ssl.DER_cert_to_PEM_cert(der), "place": (host, port)}


def chats(out: TextIO) -> int:
    """Print the chats that were joined on this machine, and which one opens without a name."""
    found = saved_chats()
    if not found:
        out.write("No chat was joined here yet. `streamcli join` joins one.\n")
        return 0
    width = max(len(chat.name) for chat in found)
    for chat in found:
        host, port = chat.places[0]
        out.write(f"{chat.name:<{width}}  as {chat.guest}, at {host}:{port}\n")
    return 0
