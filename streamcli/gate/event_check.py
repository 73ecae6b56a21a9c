"""What a guest may append: an event of their own, of a known kind and a bounded size. Pure."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from streamcli.model.unknown_fields import depth

MAX_EVENT_BYTES: Final = 64 * 1024
MAX_KEY_CHARACTERS: Final = 64
MAX_ID_CHARACTERS: Final = 128
MAX_DEPTH: Final = 100  # some programs can't read more than 128
KINDS: Final = ("chat", "greet", "joke", "me")


class _Twice(ValueError):
    pass


def refusal(guest: str, routing_key: str, data: bytes) -> str:
    """Return why ``guest`` may not append this event, as a sentence without its full stop; "" if they may."""
    if not 1 <= len(data) <= MAX_EVENT_BYTES:
        return f"an event has 1 to {MAX_EVENT_BYTES:,} bytes, and this one has {len(data):,}"
    if not 1 <= len(routing_key) <= MAX_KEY_CHARACTERS:
        return f"a room's name has 1 to {MAX_KEY_CHARACTERS} characters"
    try:
        text = data.decode("utf-8")
        if depth(text) > MAX_DEPTH:
            return f"it is nested more than {MAX_DEPTH} levels deep"
        event = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
        json.dumps(event, ensure_ascii=False).encode("utf-8")
    except _Twice:
        return "a field occurs twice in it"
    except UnicodeEncodeError:
        return "it holds half of a character"  # to print it ends many a program
    except (ValueError, RecursionError):
        return "it is no JSON"
    if not isinstance(event, dict):
        return "it is no JSON object"
    return _unfit(guest, event)


def _unfit(guest: str, event: dict[str, Any]) -> str:
    if event.get("sender") != guest:
        return f"it is not from {guest}"
    if event.get("kind") not in KINDS:
        return "guests can't send messages of its kind"
    if not isinstance(event.get("message"), str):
        return "it has no text"
    id = event.get("id")
    if not isinstance(id, str) or not 1 <= len(id) <= MAX_ID_CHARACTERS:
        return "it has no id"
    return ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Programs differ in which of two they take: nobody must be able to have two senders.
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
