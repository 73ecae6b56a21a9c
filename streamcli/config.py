"""Settings. Precedence: command-line option, environment variable, settings file, default."""

from __future__ import annotations

import getpass
import math
import os
import ssl
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast, get_args

from streamcli.errors import Unusable, UsageError
from streamcli.model.address import (
    DEFAULT_SCOPE,
    DEFAULT_STREAM,
    ClientName,
    Controller,
    Login,
    Stream,
    WantedClient,
    parse_url,
)
from streamcli.model.joined_chat import JoinedChat
from streamcli.model.names import quoted, valid_id, valid_room, valid_scope_or_stream
from streamcli.model.numbers import whole
from streamcli.model.ssh_host import SCHEME, SshHost, parse_ssh
from streamcli.saved_chats import saved_chat, saved_chats
from streamcli.system.paths import config_file, embedded_server_record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

KEYS = ("url", "id", "scope", "stream", "room", "client", "ca", "login_file")
LOGIN_KEYS = {"url", "account", "password"}
DEFAULT_ROOM = "lobby"
DEFAULT_TIMEOUT = 10.0
MAX_TIMEOUT = 86_400.0
MAX_LAST = 1_000_000


@dataclass(frozen=True)
class Settings:
    """Settings of one run. ``controller`` None means the embedded server, an SshHost that of another machine.

    With a ``gate`` the log is somebody else's, in a chat that was joined; ``user`` is then our name there.
    ``timeout`` is in seconds.
    ``client`` None means that the client for the log is chosen (`streamcli.log.opening`).
    """

    controller: Controller | SshHost | None
    user: str
    stream: Stream
    room: str
    timeout: float
    client: WantedClient | None = None
    gate: JoinedChat | None = None

    @property
    def where(self) -> Controller | SshHost | JoinedChat | None:
        """Where the log is; None for the embedded server."""
        return self.gate or self.controller

    @property
    def group_owner(self) -> str:
        """Prefix of the reader groups' names: the account, if any, since access rules are written for accounts."""
        login = self.controller.login if isinstance(self.controller, Controller) else None
        return login.user if login else self.user


def settle(options: Mapping[str, str | None], environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Resolve the settings. Raises UsageError for a bad option, Unusable for a bad file or environment variable."""
    file = file or config_file()
    kept = _read(file)

    def given(key: str) -> tuple[str | None, str]:
        """The setting's text, None if it is not set, and where it stands; "" for an option."""
        if (option := options.get(key)) is not None:
            return option, ""
        if text := environment.get(variable := f"STREAMCLI_{key.upper()}"):
            return text, f"the variable {variable}"
        return kept.get(key), f"{key} in {file}"

    def value(key: str, valid: Callable[[str], T], default: T) -> T:
        """The setting's value. An error in a variable or in the file names the variable or the key."""
        text, where = given(key)
        if text is None:
            return default
        try:
            return valid(text)
        except UsageError as error:
            if not where:
                raise
            raise Unusable(f"Check {where}. {error}") from None

    def path(key: str) -> Path | None:
        """A path; relative to the settings file's folder or, from the environment, to the current folder."""
        near = file.parent if not environment.get(f"STREAMCLI_{key.upper()}") else Path()
        return value(key, lambda text: cast("Path | None", _path(near, text)), None)

    where = value("url", _place, cast("Controller | SshHost | JoinedChat | None", None))
    controller = _only_joined() if where is None else where
    if isinstance(controller, JoinedChat):
        return _joined(controller, options, value("room", valid_room, DEFAULT_ROOM))
    client = value("client", lambda name: cast("WantedClient | None", _client(name, given("client")[1])), None)
    if isinstance(controller, SshHost):
        client = _client_over_ssh(client)
    elif controller:
        login = _login(controller, environment, path("login_file"))
        controller = replace(controller, login=login, ca=_authorities(path("ca")) if controller.tls else None)
    return Settings(
        controller=controller,
        user=value("id", lambda id: cast("str | None", valid_id(id)), None) or valid_id(_login_name()),
        stream=Stream(
            value("scope", lambda scope: valid_scope_or_stream(scope, "scope"), DEFAULT_SCOPE),
            value("stream", lambda stream: valid_scope_or_stream(stream, "stream"), DEFAULT_STREAM),
        ),
        room=value("room", valid_room, DEFAULT_ROOM),
        timeout=seconds(options.get("timeout")),
        client=client,
    )


def _place(text: str) -> Controller | SshHost | JoinedChat | None:
    """Read a URL, or the name of a chat that was joined."""
    if text.startswith(SCHEME):
        return parse_ssh(text)
    if "://" in text:
        return parse_url(text)
    if chat := saved_chat(text):
        return chat
    raise UsageError(f"{quoted(text)} is neither a URL nor a chat that was joined here: `streamcli chats` lists them.")


def _only_joined() -> JoinedChat | None:
    """Return the chat that was joined last, if this machine never had one of its own."""
    return None if embedded_server_record().exists() else next(iter(saved_chats()), None)


def _joined(chat: JoinedChat, options: Mapping[str, str | None], room: str) -> Settings:
    """Return the settings in a chat that was joined: its name and its stream are given."""
    if (id := options.get("id")) is not None and id != chat.guest:
        raise UsageError(f"In the chat {chat.name} your name is {chat.guest}: it is held by your key. Leave --id out.")
    for option in ("scope", "stream", "client"):
        if options.get(option) is not None:
            raise UsageError(f"--{option} is for a server of Pravega's, and {chat.name} is a chat that you joined.")
    scope, _, stream = chat.stream.partition("/")
    return Settings(None, chat.guest, Stream(scope, stream), room, seconds(options.get("timeout")), gate=chat)


def _client_over_ssh(wanted: WantedClient | None) -> WantedClient:
    if wanted and wanted.name == "wheel":
        raise Unusable(
            wanted.blamed(
                "The client wheel can't be used over ssh, where the segment store has another port than it says."
            )
        )
    return wanted or WantedClient("java")


def _client(name: str, where: str) -> WantedClient:
    for known in get_args(ClientName):
        if name == known:
            return WantedClient(cast(ClientName, known), where)
    raise UsageError(f"The client must be wheel or java (got {quoted(name)}).")


def seconds(text: str | None) -> float:
    """Read the ``--timeout`` option; raise UsageError unless it is a positive number of seconds."""
    if text is None:
        return DEFAULT_TIMEOUT
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= MAX_TIMEOUT:
        raise UsageError(
            f"--timeout must be a number of seconds, above 0 and at most {MAX_TIMEOUT:.0f} (got {quoted(text)})."
        )
    return value


def whole_number(option: str, text: str) -> int:
    """Read the value of ``option``; raise UsageError unless it is a whole number from 1 to a million."""
    if number := whole(text, MAX_LAST):
        return number
    raise UsageError(f"{option} must be a whole number from 1 to {MAX_LAST:,} (got {quoted(text)}).")


def _path(near: Path, text: str) -> Path:
    if not text or "\0" in text:
        raise UsageError("The path is empty." if not text else "A path can't contain a NUL character.")
    try:
        return (near / Path(text).expanduser()).absolute()
    except RuntimeError:
        raise UsageError(f"The home folder in {text} is unknown: write the full path.") from None


def _opened(path: Path) -> BinaryIO:
    """Open a file for reading without blocking on a named pipe that has no writer."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(fd, True)
    return os.fdopen(fd, "rb")


def _read(file: Path) -> dict[str, str]:
    try:
        with _opened(file) as opened:
            text = opened.read().decode("utf-8-sig")  # some editors write a byte order mark
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Unusable(f"The settings in {file} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Unusable(f"The settings in {file} can't be read: {error}.") from error
    try:
        kept: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unusable(f"The settings in {file} are not valid TOML: {error}.") from error
    for key, value in kept.items():
        if key not in KEYS:
            raise Unusable(f"The settings in {file}: unknown setting {quoted(key)}. Allowed: {', '.join(KEYS)}.")
        if not isinstance(value, str):  # the value may be a password, so it is not repeated
            raise Unusable(f"The settings in {file}: the value of {key} must be a string, in quotes.")
    return kept


def _authorities(path: Path | None) -> str | None:
    """The path of the CA certificates (PEM). Checked here, because the client library's errors give no reason."""
    if path is None:
        return None
    try:
        if path.is_fifo():
            raise Unusable(f"The CA certificates in {path} can't be used: it is a pipe. Name a regular file.")
        ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = "it contains no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise Unusable(f"The CA certificates in {path} can't be used: {reason}.") from None
    return str(path)


def _login(controller: Controller, environment: Mapping[str, str], path: Path | None) -> Login | None:
    """The account for ``controller``: from the environment, or from the login file if its url is this server's.

    A password is never sent to a server other than its own: the login file has to name every controller in use.
    """
    user, password = environment.get("STREAMCLI_ACCOUNT"), environment.get("STREAMCLI_PASSWORD")
    if user or password:
        if not (user and password):
            raise Unusable("STREAMCLI_ACCOUNT and STREAMCLI_PASSWORD must be set together: set both or none.")
        return _checked(user, password, "STREAMCLI_ACCOUNT")
    if path is None:
        return None
    login = _read_login(path)
    try:
        meant = parse_url(login["url"])
    except UsageError:
        raise Unusable(
            f"The login file {path}: its url must be a controller's, such as tcp://127.0.0.1:9090."
        ) from None
    known = {one.url for one in meant.each}
    foreign = [one.place for one in controller.each if one.url not in known]
    if len(foreign) == len(controller.each):
        return None
    if foreign:
        raise Unusable(
            f"The login file {path}: its url does not name {', '.join(foreign)}, to which the URL leads too."
        )
    return _checked(login["account"], login["password"], str(path))


def _read_login(path: Path) -> dict[str, str]:
    """The login file's values. No error repeats its contents, which include a password."""
    wanted = f"The login file {path} must contain exactly url, account and password, as TOML strings."
    try:
        with _opened(path) as file:
            about = os.fstat(file.fileno())
            if stat.S_IMODE(about.st_mode) & 0o077:
                raise Unusable(f"Other users can read the login file {path}. Run: chmod 600 {path}")
            if about.st_uid not in (0, os.getuid()):
                raise Unusable(f"The login file {path} belongs to another user. Create your own.")
            login = tomllib.loads(file.read().decode("utf-8-sig"))
    except OSError as error:
        raise Unusable(f"The login file {path} can't be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, RecursionError, UnicodeDecodeError):
        raise Unusable(wanted) from None
    if login.keys() != LOGIN_KEYS or not all(isinstance(value, str) and value for value in login.values()):
        raise Unusable(wanted)
    return login


def _checked(user: str, password: str, where: str) -> Login:
    if ":" in user or not (user + password).isprintable():
        raise Unusable(f"{where}: the account can't contain a colon, and neither value can contain control characters.")
    return Login(user, password)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("Your login name is unknown on this machine: give a name with --id NAME.") from None


def zone_trouble() -> str:
    """A warning if Python can't use the system's time zone (or that of TZ); "" if it can."""
    try:
        for month in (1, 7):  # covers winter and summer time
            datetime(2026, month, 1, tzinfo=timezone.utc).astimezone()
        if "/" in (name := os.environ.get("TZ", "").lstrip(":")) and not name.startswith("/"):
            import zoneinfo  # imported late: takes 5 ms and is rarely needed

            zoneinfo.ZoneInfo(name)  # raises; the system would silently use UTC for an unknown name
    except (ValueError, OSError, KeyError):
        return f"The time zone {os.environ.get('TZ', '')} is not valid: times are shown in UTC. Set TZ to a valid one."
    return ""


def wants_colour(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to use colour: yes, unless NO_COLOR is set to a non-empty value (no-color.org)."""
    return not environment.get("NO_COLOR")
