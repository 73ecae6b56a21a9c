"""Detects senders' clock skew by comparing ``sent_at`` with neighbouring messages in log order. Pure."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from streamcli.model.message import Message

OFF: Final = timedelta(minutes=1)  # tolerance: messages take a while, and clocks differ
NEIGHBOURS: Final = 3  # messages of other senders on each side, whose median counts, since one may be skewed too
LOOKED_AT: Final = 4 * NEIGHBOURS  # messages searched for them on each side


class SkewDetector:
    """Judges messages in log order. A skewed message is not used to judge others.

    A message must have been sent after those before it and before those after it. A long gap is normal, so only a time
    that contradicts the order counts as skew.
    """

    def __init__(self) -> None:
        self._before: deque[tuple[str, datetime]] = deque(maxlen=LOOKED_AT)

    def judge(self, messages: Sequence[Message], now: datetime | None = None) -> list[timedelta | None]:
        """Return the skew of each message (negative: too early), None where its time is plausible.

        Pass ``now``, the local time, when the messages have just arrived and none follows them yet.
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
