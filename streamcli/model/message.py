"""The wire format: one JSON object per event; one frozen model per kind, in a closed union.

Offsets and rendering are *not* part of it.

Rules for decoding an event from any program:

- ``sender`` and ``message`` must be strings, or the event is :class:`Unreadable`. An empty or blank sender becomes "?".
- Any other field that is missing, of a wrong type or out of range gets its default, so that the message is shown.
- An event without a usable ``kind`` is one of the original program: a chat message, unless it is ``greet`` or ``joke``.
- An unknown kind becomes :class:`Unknown`, with its text.
- Unknown fields are kept as written (:mod:`streamcli.model.unknown_fields`): docs/decisions/0015.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
)
from pydantic_core.core_schema import is_instance_schema

from streamcli.model.original_jokes import joke_at
from streamcli.model.unknown_fields import NONE, UnknownFields, depth

MAX_EVENT_BYTES: Final = 64 * 1024
"""The longest event we write, in bytes. The text of a longer one is cut to ``CUT_CHARACTERS`` when it is read."""

CUT_CHARACTERS: Final = 2000
MAX_UNKNOWN_WHEN_CUT: Final = MAX_EVENT_BYTES // 2
"""Bytes of unknown fields kept of an event that is cut, so that the rest still fits into one event."""

MAX_NAME: Final = 64
MAX_ID: Final = 128
# Levels of nesting. Python's own limit, below 1,000, depends on the call stack, and an event must be readable
# everywhere or nowhere.
DEEPEST_EVENT: Final = 500
DEFAULT_ROOM: Final = "lobby"
NOBODY: Final = "?"

_Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=r"\S")]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID)]
# Outside these years a local time can overflow, and the sender's clock was not set anyway.
_FIRST: Final = datetime(2000, 1, 1, tzinfo=timezone.utc)
_END: Final = datetime(2200, 1, 1, tzinfo=timezone.utc)
_Time = Annotated[AwareDatetime, Field(ge=_FIRST, lt=_END)]
_Version = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
# JSON never validates as this type, so an event with a field of this name leaves the fast path.
_Unknown = Annotated[UnknownFields, GetPydanticSchema(lambda source, handler: is_instance_schema(UnknownFields))]
_Reason = Literal["empty", "not UTF-8", "not JSON", "nested too deep", "fields missing", "wrong types"]


class _Event(BaseModel):
    """Fields of every kind. Create new messages with :func:`make`."""

    # Only the fields' names repeat, so only they are worth caching.
    model_config = ConfigDict(frozen=True, extra="allow", cache_strings="keys")

    sender: _Name
    message: str
    id: _Id
    room: _Name = DEFAULT_ROOM
    sent_at: _Time | None = None
    typed_at: _Time | None = None
    v: _Version = 1
    unknown: _Unknown = NONE


class Chat(_Event):
    """An ordinary chat message."""

    kind: Literal["chat"] = "chat"


class Greet(_Event):
    """A greeting; ``message`` is "greet", which the original program understands."""

    kind: Literal["greet"] = "greet"
    message: str = "greet"


class Joke(_Event):
    """A joke; ``message`` is its text."""

    kind: Literal["joke"] = "joke"


class Emote(_Event):
    """What the sender does: ``/me waves``."""

    kind: Literal["me"] = "me"


class Unknown(_Event):
    """A message of a kind that this version doesn't know; shown with its kind."""

    kind: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]

    @field_validator("kind")
    @classmethod
    def _is_unknown(cls, kind: str) -> str:
        if kind in KINDS:
            raise ValueError("this kind has a type of its own")
        return kind


Known: TypeAlias = Chat | Greet | Joke | Emote
Message: TypeAlias = Chat | Greet | Joke | Emote | Unknown
Kind = Literal["chat", "greet", "joke", "me"]

KINDS: Final[dict[str, type[Known]]] = {"chat": Chat, "greet": Greet, "joke": Joke, "me": Emote}


@dataclass(frozen=True)
class Unreadable:
    """An event that can't be decoded: its offset and size in bytes, and the reason."""

    offset: int
    size: int
    reason: _Reason


class TooLong(ValueError):
    """The encoded message would exceed ``MAX_EVENT_BYTES``; ``size`` is its size in bytes."""

    def __init__(self, size: int) -> None:
        """``size`` is in bytes."""
        super().__init__(f"The message takes {size} bytes in the log; the maximum is {MAX_EVENT_BYTES}.")
        self.size = size


_FAST: TypeAdapter[Known] = TypeAdapter(Annotated[Known, Field(discriminator="kind")])
_NAME: Final[TypeAdapter[str]] = TypeAdapter(_Name)
_TIME: Final[TypeAdapter[datetime]] = TypeAdapter(_Time)
_OPTIONAL: Final[dict[str, TypeAdapter[Any]]] = {
    "id": TypeAdapter(_Id),
    "room": _NAME,
    "sent_at": _TIME,
    "typed_at": _TIME,
    "v": TypeAdapter(_Version),
}
_ORDER: Final = ("sender", "message", "id", "kind", "room", "typed_at", "v")  # then what is unknown, then sent_at
_KNOWN: Final = frozenset((*_ORDER, "sent_at"))
_HANDED_OVER: Final = re.compile(rb', "sent_at": "[^"\\]*"\}\Z')
_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(data: bytes, offset: int) -> Message | Unreadable:
    """Decode the event at ``offset``. Never raises; the same bytes at the same offset always give the same result."""
    if len(data) <= MAX_EVENT_BYTES:
        # The fast path, for nearly every event: one call, no Python per field.
        try:
            message = _FAST.validate_json(data)
            if message.__pydantic_extra__:
                message.__pydantic_extra__.clear()
                message.__dict__["unknown"] = UnknownFields(data, _KNOWN)  # model_copy takes longer than all the rest
            return message
        except ValidationError:
            pass
    return _decode_calmly(data, offset)


def encode(message: Message) -> bytes:
    """Encode ``message`` as an event: one JSON object in UTF-8, without None fields. Raises :class:`TooLong`."""
    text = _json({name: value for name in _ORDER if (value := getattr(message, name)) is not None})
    if message.unknown is not NONE:
        text = text[:-1] + "".join(f", {name}: {value}" for name, value in message.unknown.fields) + "}"
    data = text.encode() if message.sent_at is None else _sent(text.encode(), message.sent_at)
    if len(data) > MAX_EVENT_BYTES:
        raise TooLong(len(data))
    return data


def as_typed(event: bytes) -> bytes:
    """Return one of our events without ``sent_at``: the bytes that never change, and that a signature would cover."""
    return _HANDED_OVER.sub(b"}", event)


def hand_over(event: bytes, sent_at: datetime | None) -> bytes:
    """Return one of our events with ``sent_at``, as it is written to the log; None if the clock is not set."""
    typed = as_typed(event)
    return typed if sent_at is None else _sent(typed, sent_at)


def _sent(typed: bytes, sent_at: datetime) -> bytes:
    return typed[:-1] + f', "sent_at": "{_stamp(sent_at)}"}}'.encode()


def make(
    kind: Kind,
    text: str,
    *,
    sender: str,
    id: str,
    room: str = DEFAULT_ROOM,
    sent_at: datetime | None = None,
    typed_at: datetime | None = None,
) -> Known:
    """Create a new message. Lone surrogates in ``text`` (input that was not UTF-8) are replaced."""
    return KINDS[kind](
        sender=sender, message=replace_surrogates(text), id=id, room=room, sent_at=sent_at, typed_at=typed_at
    )


def plausible(now: datetime) -> datetime | None:
    """Return ``now``, or None if it is outside the years that a message can carry (the clock is not set)."""
    return now if _FIRST <= now < _END else None


def clock_trouble(now: datetime) -> str:
    """A warning for the user if ``now`` is not :func:`plausible`, otherwise ""."""
    if plausible(now):
        return ""
    return f"This machine's clock says {now:%d %B %Y}: messages are sent without a time. Set the clock."


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which can't be encoded as UTF-8, with U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


@lru_cache(maxsize=1)
def jokes() -> tuple[str, ...]:
    """Return the jokes to choose from. The event carries the joke's text, so any version of pyjokes will do."""
    # Imported late: rarely needed, and it would delay the prompt.
    import pyjokes  # type: ignore[import-untyped]

    return tuple(sorted(pyjokes.get_jokes(language="en", category="neutral")))


def new_id(now_ms: int, random: Callable[[int], bytes]) -> str:
    """Return an id of 32 hex digits that sorts by time: 48 bits of milliseconds, then 80 random bits."""
    return f"{max(0, min(now_ms, 2**48 - 1)):012x}{random(10).hex()}"


class Ids:
    """Generates strictly increasing ids, even within a millisecond or if the clock is set back. Not thread-safe."""

    def __init__(self, clock: Callable[[], int], random: Callable[[int], bytes]) -> None:
        """``clock()`` returns milliseconds, ``random(n)`` returns n random bytes."""
        self._clock, self._random = clock, random
        self._last = ""

    def next(self) -> str:
        """Return an id greater than all previous ones."""
        fresh = new_id(self._clock(), self._random)
        self._last = fresh if fresh > self._last else f"{int(self._last, 16) + 1:032x}"
        return self._last


def _decode_calmly(data: bytes, offset: int) -> Message | Unreadable:
    """Decode what the fast path rejected: events of the original program, of newer versions and of other programs."""
    raw = _parsed(data)
    if isinstance(raw, str):
        return Unreadable(offset, len(data), raw)
    fields = _usable(raw)
    if not raw.keys() <= _KNOWN:
        whole = len(data) <= MAX_EVENT_BYTES
        fields["unknown"] = (
            UnknownFields(data, _KNOWN) if whole else UnknownFields.within(MAX_UNKNOWN_WHEN_CUT, data, _KNOWN)
        )
    fields.setdefault("id", f"o{offset}-{blake2b(data, digest_size=8).hexdigest()}")
    fields["sender"] = _named(raw["sender"])
    fields["message"] = _cut(replace_surrogates(raw["message"]), len(data))
    return _of_kind(raw.get("kind"), fields, offset)


def _parsed(data: bytes) -> dict[str, Any] | _Reason:
    """Return the event's JSON object, whose sender and message are strings, or the reason why there is none."""
    if not data:
        return "empty"
    try:
        text = data.decode("utf-8-sig")
        if depth(text) > DEEPEST_EVENT:
            return "nested too deep"
        raw = json.loads(text, parse_int=_number)
    except UnicodeDecodeError:
        return "not UTF-8"
    except RecursionError:
        return "nested too deep"
    except ValueError:
        return "not JSON"
    if not isinstance(raw, dict):
        return "wrong types"
    if "sender" not in raw or "message" not in raw:
        return "fields missing"
    return raw if isinstance(raw["sender"], str) and isinstance(raw["message"], str) else "wrong types"


def _number(digits: str) -> int:
    # int() rejects thousands of digits, and none of our fields needs twenty.
    return int(digits) if len(digits) < 20 else 0


def _usable(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the optional fields that are valid."""
    usable: dict[str, Any] = {}
    for name in _OPTIONAL.keys() & raw.keys():
        value = raw[name]
        if isinstance(value, str):
            value = _short(value) if name == "room" else replace_surrogates(value)
        with suppress(ValueError, OverflowError):
            usable[name] = _OPTIONAL[name].validate_python(value)
    return usable


def _of_kind(kind: object, fields: dict[str, Any], offset: int) -> Message:
    if not isinstance(kind, str) or not kind:
        return _of_the_original(fields, offset)
    if kind in KINDS:
        return KINDS[kind](**fields)
    return Unknown(kind=_short(kind), **fields)


def _of_the_original(fields: dict[str, Any], offset: int) -> Message:
    """Interpret a message without a kind as the original program does."""
    word = fields["message"].strip().lower()
    if word == "greet":
        return Greet(**fields | {"message": "greet"})
    if word == "joke":
        # In the original each receiver picks one. Choosing by offset gives everyone the same joke, always.
        return Joke(**fields | {"message": joke_at(offset)})
    return Chat(**fields)


def _named(sender: str) -> str:
    with suppress(ValidationError):
        return _NAME.validate_python(_short(sender))
    return NOBODY


def _short(name: str) -> str:
    name = replace_surrogates(name)
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def _cut(text: str, size: int) -> str:
    if size <= MAX_EVENT_BYTES or len(text) <= CUT_CHARACTERS:
        return text
    whole = f"{size / 1024:.0f} KiB" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f} MiB"
    return f"{text[:CUT_CHARACTERS]} … ({whole} in all, cut)"


def _stamp(time: datetime) -> str:
    utc = time if time.tzinfo is timezone.utc else time.astimezone(timezone.utc)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"  # in place of +00:00


_json: Final = json.JSONEncoder(ensure_ascii=False, default=_stamp).encode
