"""The program behind :class:`tests.raw.Raw` where there is the package pravega, which it speaks through."""

from __future__ import annotations

import base64
import os
import sys
from typing import Any

from tests.orders import events_in, obey


class Client:
    """What :class:`tests.raw.Raw` asks for."""

    def __init__(self, url: str, scope: str) -> None:
        os.environ["RUST_LOG"] = "off"
        import pravega_client

        self._scope, self._writers = scope, dict[str, Any]()
        self._manager = pravega_client.StreamManager(url, "pravega_client_auth_method" in os.environ, False)

    def make(self, stream: str, segments: int) -> None:
        self._manager.create_scope(self._scope)
        self._manager.create_stream(self._scope, stream, segments)
        self._writers[stream] = self._manager.create_writer(self._scope, stream, 1000)

    def write(self, stream: str, key: str, events: list[str]) -> None:
        for event in events:
            self._writers[stream].write_event_bytes(base64.b64decode(event), key)
        self._writers[stream].flush()

    def read(self, stream: str) -> list[str]:
        log, buffer = self._bytes(stream), bytearray(1 << 20)
        position, tail = log.current_head_offset(), log.current_tail_offset()
        log.seek(position, 0)
        data = bytearray()
        while position + len(data) < tail:
            data += buffer[: log.readinto(buffer)]
        return [base64.b64encode(event).decode() for event in events_in(bytes(data))]

    def bounds(self, stream: str) -> list[int]:
        log = self._bytes(stream)
        return [log.current_head_offset(), log.current_tail_offset()]

    def bytes_at(self, stream: str, offset: int, size: int) -> str:
        log, buffer = self._bytes(stream), bytearray(size)
        log.seek(offset, 0)
        return base64.b64encode(memoryview(buffer)[: log.readinto(buffer)]).decode()

    def truncate(self, stream: str, offset: int) -> None:
        self._bytes(stream).truncate(offset)

    def streams(self) -> list[str]:
        return list(self._manager.list_stream(self._scope))

    def seal(self, stream: str) -> None:
        self._manager.seal_stream(self._scope, stream)

    def delete(self, stream: str) -> None:
        self._manager.delete_stream(self._scope, stream)

    def group_is_deleted(self, stream: str, group: str) -> bool:
        try:
            self._manager.create_reader_group(group, self._scope, stream, True).get_streamcut()
        except BaseException:  # a panic: a group that was deleted is opened, but has no table any more
            return True
        return False

    def take_offline(self, stream: str, group: str) -> None:
        self._manager.create_reader_group(group, self._scope, stream, True).reader_offline("main")

    def _bytes(self, stream: str) -> Any:
        return self._manager.create_byte_stream(self._scope, stream)


if __name__ == "__main__":
    obey(lambda: Client(*sys.argv[1:]))
