"""Changes streams with the Java client, in a process of its own: scales them, cuts their heads off, deletes them."""

from __future__ import annotations

from tests.orders import Program


class Admin(Program):
    """Changes streams of a server that asks for no account."""

    def __init__(self, url: str) -> None:
        super().__init__("tests.raw_java", url, "scope")

    def make(self, stream: str, segments: int) -> None:
        """Create a stream, without a tag."""
        self.ask("make", stream=stream, segments=segments)

    def scale(self, stream: str, segments: list[int], ranges: list[float]) -> None:
        """Replace ``segments`` by new ones that share the keys between each two neighbours of ``ranges``."""
        self.ask("scale", stream=stream, segments=segments, ranges=ranges)

    def truncate(self, stream: str, offsets: dict[int, int]) -> None:
        """Cut off all before a stream cut."""
        self.ask("cut", stream=stream, offsets=offsets)

    def current(self, stream: str) -> list[int]:
        """The segments that are written to now, in the order of their keys."""
        return [int(number) for number in self.ask("current", stream=stream)]

    def append_bytes(self, stream: str, data: str) -> None:
        """Append bytes that are no events to a stream of one segment."""
        self.ask("append_bytes", stream=stream, data=data)

    def seal(self, stream: str) -> None:
        """Seal a stream."""
        self.ask("seal", stream=stream)

    def delete(self, stream: str) -> None:
        """Delete a sealed stream."""
        self.ask("delete", stream=stream)
