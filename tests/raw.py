"""A plain client of the log in a process of its own: what streamcli is held against, and how strange events get there.

Run as a program it obeys lines of JSON on standard input; :class:`Raw` is the test's side of that.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any

from streamcli.model.address import Login


def account(login: Login) -> dict[str, str]:
    """The environment from which the client library takes the account."""
    fields = {"method": "Basic", "username": login.user, "password": login.password}
    return {f"pravega_client_auth_{name}": value for name, value in fields.items()}


class Raw:
    """Writes any bytes to a stream, and reads all of it."""

    def __init__(
        self, url: str, stream: str, segments: int = 1, scope: str = "scope", login: Login | None = None
    ) -> None:
        self.stream = stream
        self._process = subprocess.Popen(
            [sys.executable, __file__, url, scope, stream, str(segments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **account(login)} if login else None,
        )

    def __enter__(self) -> Raw:
        self._ask("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def kill(self) -> None:
        """kill -9: whoever waits for an answer of it gets an AssertionError."""
        self._process.kill()
        self._process.wait()

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
        return base64.b64decode(self._ask("bytes", offset=offset, size=size))

    def truncate(self, offset: int) -> None:
        """Cut off the head of a stream of one segment: what is below ``offset``."""
        self._ask("truncate", offset=offset)

    def group_is_deleted(self, name: str) -> bool:
        """Whether a reader group that once was is no more, which the client library takes 10 s to find out."""
        return bool(self._ask("deleted", group=name))

    def take_offline(self, group: str) -> None:
        """Take the reader of somebody's group offline."""
        self._ask("offline", group=group)

    def streams(self) -> list[str]:
        """The names of the scope's streams."""
        return [str(name) for name in self._ask("streams")]

    def delete_stream(self) -> None:
        """Seal and delete the stream, and make it anew."""
        self._ask("renew")

    def _ask(self, what: str, **fields: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the raw client died at {what!r}"
        return json.loads(answer)


def main(url: str, scope: str, stream: str, segments: int) -> None:
    """Obey."""
    os.environ["RUST_LOG"] = "off"
    import pravega_client

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    manager = pravega_client.StreamManager(url, "pravega_client_auth_method" in os.environ, False)
    manager.create_scope(scope)
    manager.create_stream(scope, stream, segments)
    writer = manager.create_writer(scope, stream, 1000)
    for line in sys.stdin:
        order = json.loads(line)
        answer: Any = True
        if order["do"] == "write":
            for event in order["events"]:
                writer.write_event_bytes(base64.b64decode(event), order["key"])
            writer.flush()
        elif order["do"] == "read":
            answer = [base64.b64encode(event).decode() for event in _read(manager.create_byte_stream(scope, stream))]
        elif order["do"] == "bounds":
            log = manager.create_byte_stream(scope, stream)
            answer = [log.current_head_offset(), log.current_tail_offset()]
        elif order["do"] == "bytes":
            log, buffer = manager.create_byte_stream(scope, stream), bytearray(order["size"])
            log.seek(order["offset"], 0)
            answer = base64.b64encode(memoryview(buffer)[: log.readinto(buffer)]).decode()
        elif order["do"] == "truncate":
            manager.create_byte_stream(scope, stream).truncate(order["offset"])
        elif order["do"] == "deleted":
            try:
                manager.create_reader_group(order["group"], scope, stream, True).get_streamcut()
                answer = False
            except BaseException:  # a panic: a group that was deleted is opened, but has no table any more
                answer = True
        elif order["do"] == "offline":
            manager.create_reader_group(order["group"], scope, stream, True).reader_offline("main")
        elif order["do"] == "streams":
            answer = manager.list_stream(scope)
        elif order["do"] == "renew":
            manager.seal_stream(scope, stream)
            manager.delete_stream(scope, stream)
            manager.create_stream(scope, stream, segments)
            writer = manager.create_writer(scope, stream, 1000)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _read(log: Any) -> list[bytes]:
    position, tail = log.current_head_offset(), log.current_tail_offset()
    log.seek(position, 0)
    data, buffer = b"", bytearray(1 << 20)
    while position + len(data) < tail:
        data += bytes(buffer[: log.readinto(buffer)])
    events, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        events.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return events


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
