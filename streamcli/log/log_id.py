"""A log's id, a random tag on its stream, and how a stream is opened or created by whichever client."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

TAG = "streamcli-log-"
Kind = Callable[[BaseException], str]
"""Tells what an error means: "denied", "password", "gone" or "other", as in a FAILED frame."""


class Denied(Exception):
    """The account lacks a right; the text names it, which the server's text does not."""


class StreamCalls(Protocol):
    """What opening a stream asks of the client library. Each call raises the library's own errors."""

    def tags(self) -> Iterable[str]:
        """Return the stream's tags."""

    def create_scope(self) -> object:
        """Create the scope, if it is missing."""

    def create_stream(self, tag: str) -> object:
        """Create the stream with one segment and ``tag``, if it is missing."""


def open_stream(
    calls: StreamCalls,
    name: tuple[str, str],
    kind: Kind,
    make: bool = True,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> str:
    """Create scope and stream (``name``) if missing and ``make`` is true; return the log's id.

    The id is a random tag that streamcli gives a stream on creating it, "" for a stream created otherwise. An account
    that may not create streams, or not even read tags, continues: what is opened next tells whether the stream exists.
    """
    try:
        return log_id(calls.tags())
    except Exception as error:
        if not make and kind(error) == "gone":
            raise
    denied: Exception | None = None
    try:
        calls.create_scope()
    except Exception as error:
        denied = error
    try:
        calls.create_stream(TAG + random_bytes(8).hex())
    except Exception as error:
        denied = denied or error
    try:
        return log_id(calls.tags())
    except Exception as error:
        if denied and kind(denied) == "denied":
            scope, stream = name
            raise Denied(
                f"the stream {scope}/{stream} does not exist and this account may not make it: that needs READ_UPDATE "
                f"on prn::/scope:{scope}, and on prn::/ to make the scope"
            ) from None
        raise (denied or error) from None


@contextlib.contextmanager
def needing(right: str, what: str, kind: Kind) -> Iterator[None]:
    """Wrap a call that needs ``right``: if the server denies it, the error says so."""
    try:
        yield
    except BaseException as error:  # the wheel's panics don't derive from Exception
        if kind(error) == "denied":
            raise Denied(f"the server does not let this account {what}: that needs READ_UPDATE on {right}") from None
        raise


def log_id(tags: Iterable[str] | None) -> str:
    """Return the log's id among a stream's tags, "" if it has none."""
    return next((tag for tag in tags or () if tag.startswith(TAG)), "")
