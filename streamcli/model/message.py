"""The wire format: one JSON object an event, a closed union of frozen models, one small type per kind.

What is *not* here: where an event stands in the log (its offset), and how a message looks on a screen.

How an event from elsewhere is read, decided once and here:

- ``sender`` and ``message`` must be strings, or the event is :class:`Unreadable`. An empty or blank sender reads "?".
- Every other field that is absent, of a wrong type or absurd gets its default. The message matters more than they do.
- An event without a usable ``kind`` is one of the original program: a chat message, unless it is ``greet`` or ``joke``.
- A kind we don't know is kept as :class:`Unknown`, with its text.
- A field we don't know is kept as it is written (:mod:`streamcli.model.unknown_fields`): docs/decisions/0015.
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
"""The longest event we write. A longer one from elsewhere is read, and its text is cut to ``CUT_CHARACTERS``."""

CUT_CHARACTERS: Final = 2000
MAX_UNKNOWN_WHEN_CUT: Final = MAX_EVENT_BYTES // 2
"""Of an event that is cut: bytes of unknown fields that are kept, so that with the cut text they still fit into one."""

MAX_NAME: Final = 64
MAX_ID: Final = 128
# Levels of nesting. Python gives up somewhere below 1,000, the sooner the deeper it is called, and an event must be
# readable everywhere or nowhere.
DEEPEST_EVENT: Final = 500
DEFAULT_ROOM: Final = "lobby"
NOBODY: Final = "?"

_Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=r"\S")]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID)]
# Outside these years a local time can overflow, and whoever wrote it had no clock anyway.
_FIRST: Final = datetime(2000, 1, 1, tzinfo=timezone.utc)
_END: Final = datetime(2200, 1, 1, tzinfo=timezone.utc)
_Time = Annotated[AwareDatetime, Field(ge=_FIRST, lt=_END)]
_Version = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
# No JSON is one of these, so an event that has a field of this name leaves the fast way.
_Unknown = Annotated[UnknownFields, GetPydanticSchema(lambda source, handler: is_instance_schema(UnknownFields))]
_Reason = Literal["empty", "not UTF-8", "not JSON", "nested too deep", "fields missing", "wrong types"]


class _Event(BaseModel):
    """What every kind has. Build our own with :func:`make`; typed text may need :func:`replace_surrogates` first."""

    # Hardly any text comes twice but the fields' names, so only these are worth looking up.
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
    """Somebody says something."""

    kind: Literal["chat"] = "chat"


class Greet(_Event):
    """Somebody says hi; ``message`` is "greet", so that the original program shows it its way."""

    kind: Literal["greet"] = "greet"
    message: str = "greet"


class Joke(_Event):
    """Somebody tells a joke; ``message`` is the joke."""

    kind: Literal["joke"] = "joke"


class Emote(_Event):
    """Somebody does something: ``/me waves``."""

    kind: Literal["me"] = "me"


class Unknown(_Event):
    """A message of a kind this version doesn't know: kept, and shown as such."""

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
    """An event nobody can make sense of: where it stands, how many bytes it has, and why, in plain words."""

    offset: int
    size: int
    reason: _Reason


class TooLong(ValueError):
    """The message would take more than ``MAX_EVENT_BYTES`` in the log; ``size`` says how many."""

    def __init__(self, size: int) -> None:
        """Remember how many bytes it would have taken."""
        super().__init__(f"The message takes {size} bytes in the log, at most {MAX_EVENT_BYTES} are possible.")
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
    """Read the event that stands at ``offset``. Never raises; the same bytes at the same place always read the same."""
    if len(data) <= MAX_EVENT_BYTES:
        # Nearly every event takes this way: one call, no Python per field. What it can't read is looked at calmly.
        try:
            message = _FAST.validate_json(data)
            if message.__pydantic_extra__:
                message.__pydantic_extra__.clear()
                message.__dict__["unknown"] = UnknownFields(data, _KNOWN)  # a copy would take longer than all the rest
            return message
        except ValidationError:
            pass
    return _decode_calmly(data, offset)


def encode(message: Message) -> bytes:
    """Write ``message`` as an event: one JSON object in UTF-8 without empty fields. Raises :class:`TooLong`."""
    fields = {name: value for name in _ORDER if (value := getattr(message, name)) is not None}
    text = json.dumps(fields, ensure_ascii=False, default=_stamp)
    text = text[:-1] + "".join(f", {name}: {value}" for name, value in message.unknown.fields) + "}"
    data = hand_over(text.encode(), message.sent_at)
    if len(data) > MAX_EVENT_BYTES:
        raise TooLong(len(data))
    return data


def as_typed(event: bytes) -> bytes:
    """Return an event of ours without its time of sending: the bytes that are made once, and what a signature covers.

    Everything else in it stays as it is, whoever wrote it.
    """
    return _HANDED_OVER.sub(b"}", event)


def hand_over(event: bytes, sent_at: datetime | None) -> bytes:
    """Return an event of ours as it is handed to the log at ``sent_at``; None when the clock was never set."""
    typed = as_typed(event)
    return typed if sent_at is None else typed[:-1] + f', "sent_at": "{_stamp(sent_at)}"}}'.encode()


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
    """Build a message of our own. What a terminal couldn't decode in ``text`` is replaced."""
    return KINDS[kind](
        sender=sender, message=replace_surrogates(text), id=id, room=room, sent_at=sent_at, typed_at=typed_at
    )


def plausible(now: datetime) -> datetime | None:
    """Return ``now``, or None where no message can carry it: the clock was never set, or set to nonsense."""
    return now if _FIRST <= now < _END else None


def clock_trouble(now: datetime) -> str:
    """What to say once when ``now`` is not :func:`plausible`, and "" when it is."""
    if plausible(now):
        return ""
    return f"This machine's clock says {now:%d %B %Y}: messages are sent without a time. Set the clock."


def replace_surrogates(text: str) -> str:
    """Put U+FFFD in place of lone surrogates, which no UTF-8 can hold."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


@lru_cache(maxsize=1)
def jokes() -> tuple[str, ...]:
    """Return the jokes that can be told: an event of ours carries its text, so any version of pyjokes will do."""
    # Imported late: most sessions never hear a joke, and the prompt should stand soon.
    import pyjokes  # type: ignore[import-untyped]

    return tuple(sorted(pyjokes.get_jokes(language="en", category="neutral")))


def new_id(now_ms: int, random: Callable[[int], bytes]) -> str:
    """Make an id of 32 hex digits that sorts by time: 48 bits of milliseconds, then 80 random bits."""
    return f"{max(0, min(now_ms, 2**48 - 1)):012x}{random(10).hex()}"


class Ids:
    """A source of ids that only grow, even within a millisecond or when the clock is set back. One owner, no lock."""

    def __init__(self, clock: Callable[[], int], random: Callable[[int], bytes]) -> None:
        """Take the time in milliseconds from ``clock`` and n random bytes from ``random(n)``."""
        self._clock, self._random = clock, random
        self._last = ""

    def next(self) -> str:
        """Return an id greater than all before it."""
        fresh = new_id(self._clock(), self._random)
        self._last = fresh if fresh > self._last else f"{int(self._last, 16) + 1:032x}"
        return self._last


def _decode_calmly(data: bytes, offset: int) -> Message | Unreadable:
    """Read what the fast way refused: events of the original program, of newer versions, and from anywhere else."""
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
    """Return the event's object with a string as sender and message, or why there is none."""
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
    # Python refuses to read thousands of digits, and no field of ours needs twenty.
    return int(digits) if len(digits) < 20 else 0


def _usable(raw: dict[str, Any]) -> dict[str, Any]:
    """Return those of the optional fields that make sense."""
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
    """Give a text without a kind the meaning it has in the original program."""
    word = fields["message"].strip().lower()
    if word == "greet":
        return Greet(**fields | {"message": "greet"})
    if word == "joke":
        # The original picks one at each receiver. By offset, everybody gets the same, again and again.
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
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
