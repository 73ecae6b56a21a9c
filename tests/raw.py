"""A plain client of the log in a process of its own: streamcli is held against it, and strange events come from it."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
from typing import Any

from streamcli.model.address import Login
from tests.orders import Program

HAS_WHEEL = importlib.util.find_spec("pravega_client") is not None
# Which of Pravega's clients it is: "wheel", the package pravega, or "java" where that is missing.
CLIENT = os.environ.get("STREAMCLI_TEST_RAW") or ("wheel" if HAS_WHEEL else "java")


class Raw(Program):
    """Writes any bytes to a stream, which it makes, and reads all of it."""

    def __init__(
        self, url: str, stream: str, segments: int = 1, scope: str = "scope", login: Login | None = None
    ) -> None:
        super().__init__(f"tests.raw_{CLIENT}", url, scope, login=login)
        self.stream, self._segments = stream, segments

    def __enter__(self) -> Raw:
        self._ask("make", segments=self._segments)
        return self

    def write(self, *events: bytes, key: str = "lobby") -> None:
        """Write events; they are in the log when this returns."""
        self._ask("write", key=key, events=[base64.b64encode(event).decode() for event in events])

    def say(self, sender: str, message: str, key: str = "lobby", **more: Any) -> None:
        """Write a message as the original two-field program does, with ``more`` fields."""
        self.write(json.dumps({"sender": sender, "message": message, **more}).encode(), key=key)

    def events(self) -> list[bytes]:
        """All events of a stream of one segment, oldest first."""
        return [base64.b64decode(event) for event in self._ask("read")]

    def messages(self) -> list[dict[str, Any]]:
        """All events, which must be JSON."""
        return [json.loads(event) for event in self.events()]

    def texts(self) -> list[str]:
        """The texts of all messages."""
        return [str(message["message"]) for message in self.messages()]

    def bounds(self) -> tuple[int, int]:
        """Offsets of the head and the tail of a stream of one segment."""
        head, tail = self._ask("bounds")
        return head, tail

    def bytes_at(self, offset: int, size: int) -> bytes:
        """What one read of the client library brings, at most ``size`` bytes."""
        return base64.b64decode(self._ask("bytes_at", offset=offset, size=size))

    def truncate(self, offset: int) -> None:
        """Cut off the head of a stream of one segment: what is below ``offset``."""
        self._ask("truncate", offset=offset)

    def group_is_deleted(self, name: str) -> bool:
        """Whether a reader group that once was is no more, which the package pravega takes 10 s to find out."""
        return bool(self._ask("group_is_deleted", group=name))

    def take_offline(self, group: str) -> None:
        """Take the reader of somebody's group offline; as above, of groups that the package pravega has made."""
        self._ask("take_offline", group=group)

    def streams(self) -> list[str]:
        """The names of the scope's streams."""
        return [str(name) for name in self.ask("streams")]

    def delete_stream(self) -> None:
        """Seal and delete the stream, and make it anew."""
        self._ask("seal")
        self._ask("delete")
        self._ask("make", segments=self._segments)

    def _ask(self, what: str, **fields: Any) -> Any:
        return self.ask(what, stream=self.stream, **fields)
