"""The jokes for "joke" events of the original program, which carry no text. Pure.

Never change, remove or move a line: old events would show another joke (docs/decisions/0015-wire.md).
"""

from __future__ import annotations

from typing import Final

JOKES: Final = (
    "There is no cloud, only a log that somebody else forgot to truncate.",
    "I would tell you about exactly once, but you might hear it again.",
    "A consumer walks into a bar. It has been there before, but it lost its offset.",
    "Our cache has two states: stale, and about to be.",
    "The tests passed on the third run, so we called it eventual consistency.",
    "My clock is always right. It is all the others that disagree.",
    "We removed the single point of failure. Now there are three.",
    "I asked the load balancer for advice. Everybody else got another answer.",
    "The queue was empty, so I knew that something was wrong.",
    "Nothing is as permanent as a temporary topic.",
    "A retry without a limit is optimism in a loop.",
    "The rollback went well. We are on a version now that nobody remembers.",
    "I read the documentation at last. It was very good, in its day.",
    "Two threads meet in a bar. Nobody can say in which order.",
    "We have no bugs, only events that arrived before their explanation.",
    "The deadline moved again. At least something here scales.",
)


def joke_at(offset: int) -> str:
    """Return the joke for the event at ``offset``."""
    return JOKES[offset % len(JOKES)]
