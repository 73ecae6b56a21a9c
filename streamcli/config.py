"""Settings: an option beats the environment, that beats the settings file, that beats the default."""

from __future__ import annotations

import getpass
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamcli.address import DEFAULT_SCOPE, DEFAULT_STREAM, Controller, Stream, parse_url
from streamcli.errors import Unusable, UsageError
from streamcli.names import valid_id, valid_room, valid_scope_or_stream
from streamcli.paths import config_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KEYS = ("url", "id", "scope", "stream", "room")
DEFAULT_ROOM = "lobby"
DEFAULT_TIMEOUT = 10.0
MAX_TIMEOUT = 86_400.0
MAX_LAST = 1_000_000


@dataclass(frozen=True)
class Settings:
    """What a chat needs to know; without ``controller`` it is the embedded server."""

    controller: Controller | None
    user: str
    stream: Stream
    room: str
    timeout: float


def settle(options: Mapping[str, str | None], environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Work the settings out; raise UsageError for a bad value, Unusable for a bad file."""
    kept = {"scope": DEFAULT_SCOPE, "stream": DEFAULT_STREAM, "room": DEFAULT_ROOM, **_read(file or config_file())}

    def value(key: str) -> str | None:
        option = options.get(key)
        return option if option is not None else environment.get(f"STREAMCLI_{key.upper()}") or kept.get(key)

    url, name = value("url"), value("id")
    return Settings(
        controller=parse_url(url) if url is not None else None,
        user=valid_id(_login_name() if name is None else name),
        stream=Stream(
            valid_scope_or_stream(value("scope") or "", "scope"),
            valid_scope_or_stream(value("stream") or "", "stream"),
        ),
        room=valid_room(value("room") or ""),
        timeout=seconds(options.get("timeout")),
    )


def seconds(text: str | None) -> float:
    """Read the ``--timeout`` option; raise UsageError unless it is a positive number of seconds."""
    if text is None:
        return DEFAULT_TIMEOUT
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= MAX_TIMEOUT:
        raise UsageError(f"--timeout {text!r} is no number of seconds above 0 and up to {MAX_TIMEOUT:.0f}.")
    return value


def whole_number(option: str, text: str) -> int:
    """Read the value of ``option``; raise UsageError unless it is a whole number from 1 to a million."""
    if text.isascii() and text.isdigit() and 1 <= int(text[:8]) <= MAX_LAST:
        return int(text)
    raise UsageError(f"{option} {text!r} is no whole number from 1 to {MAX_LAST:,}.")


def _read(file: Path) -> dict[str, str]:
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"The settings in {file} can't be read: {error}.") from error
    try:
        kept: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unusable(f"The settings in {file} are no valid TOML: {error}.") from error
    for key, value in kept.items():
        if key not in KEYS or not isinstance(value, str):
            raise Unusable(f"The settings in {file}: {key} = {value!r} is none of the texts {', '.join(KEYS)}.")
    return kept


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise UsageError("You have no login name here: say who you are with --id NAME.") from None


def wants_colour(environment: Mapping[str, str] = os.environ) -> bool:
    """Colour unless NO_COLOR is set to anything (no-color.org)."""
    return not environment.get("NO_COLOR")
