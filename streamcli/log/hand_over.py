"""Hands events to the prompt's process, which says when it has drawn them: the backpressure of a reading worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from streamcli.log.frames import Frame, Splitter, pack_events

BATCH = 2000  # events in a frame: some milliseconds of work for the prompt's process
BATCH_BYTES = 1 << 20  # bytes in a frame, unless a single event is larger
AHEAD = 2  # frames in flight: one is decoded while the one before is drawn


class Parent:
    """The connection to the prompt's process, which takes events and reports when it has drawn them."""

    def __init__(self, send: Callable[[bytes], None], receive: Callable[[], bytes]) -> None:
        """``receive`` waits for the next bytes; it raises or ends the process when there can be none."""
        self.send = send
        self._receive = receive
        self._splitter = Splitter()
        self._untaken = 0
        self.segment = 0

    def hand_over(self, events: Iterable[tuple[int, bytes]], drawn: bool = True) -> None:
        """Send events of ``segment`` in frames; wait until all are drawn, unless ``drawn`` is false."""
        batch: list[tuple[int, bytes]] = []
        size = 0
        try:
            for event in events:
                if batch and (len(batch) == BATCH or size + len(event[1]) > BATCH_BYTES):
                    self._send(batch)
                    batch, size = [], 0
                batch.append(event)
                size += len(event[1])
        finally:  # an error of ``events`` comes after all that is before it
            if batch:
                self._send(batch)
        if drawn:
            self._wait_until_at_most(0)

    def _send(self, batch: list[tuple[int, bytes]]) -> None:
        frame = pack_events(batch, self.segment)
        self._wait_until_at_most(AHEAD - 1)
        self.send(frame)
        self._untaken += 1

    def _wait_until_at_most(self, count: int) -> None:
        while self._untaken > count:
            self._untaken -= sum(frame.kind is Frame.TAKEN for frame in self._splitter.feed(self._receive()))
