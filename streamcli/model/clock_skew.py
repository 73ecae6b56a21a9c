"""Whose clock is wrong: a time of sending against those of the neighbours in the log, whose order is certain. Pure."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from streamcli.model.message import Message

OFF: Final = timedelta(minutes=1)  # less is said about by nobody: messages take a while, and clocks differ
NEIGHBOURS: Final = 3  # of other senders on each side; of several the middle one counts, since one may be off too
LOOKED_AT: Final = 4 * NEIGHBOURS  # messages on each side, among which they are looked for


class SkewDetector:
    """Judges messages in the log's order. What is off says nothing about the others.

    A message can't have been sent after those behind it nor before those in front of it. A long silence is no error, so
    only a time that runs against the order is one.
    """

    def __init__(self) -> None:
        self._before: deque[tuple[str, datetime]] = deque(maxlen=LOOKED_AT)

    def judge(self, messages: Sequence[Message], now: datetime | None = None) -> list[timedelta | None]:
        """Of each message by how much its time is off (negative: too early), None where it is plausible.

        ``now`` is our own clock when the last of ``messages`` came just now: nothing stands behind it yet.
        """
        behind = (messages[index : index + LOOKED_AT] for index in range(1, len(messages) + 1))
        return [self._judge(message, some, now) for message, some in zip(messages, behind, strict=True)]

    def _judge(self, message: Message, behind: Sequence[Message], now: datetime | None) -> timedelta | None:
        sent = message.sent_at
        if sent is None:
            return None
        before = _middle([time for sender, time in reversed(self._before) if sender != message.sender])
        after = _middle([m.sent_at for m in behind if m.sent_at and m.sender != message.sender])
        off: timedelta | None = None
        if before and sent < before - OFF:
            off = sent - before
        elif after and sent > after + OFF and (before is None or after >= before - OFF):
            off = sent - after
        elif not after and now and sent > now + OFF and (before is None or before <= now + OFF):
            off = sent - now
        if off is None:
            self._before.append((message.sender, sent))
        return off


def _middle(times: Sequence[datetime]) -> datetime | None:
    return statistics.median_high(times[:NEIGHBOURS]) if times else None
