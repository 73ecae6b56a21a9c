"""How a guest is told why there is no connection to the gate."""

from __future__ import annotations

import asyncio

import pytest

from streamcli.log.gate.connection import worded


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (ConnectionResetError(), "what answers there has closed the connection"),
        (ConnectionRefusedError(111, "Connection refused"), "nobody listens there"),
        (asyncio.TimeoutError(), "nothing answers there"),
        (TimeoutError(), "nothing answers there"),
    ],
)
def test_no_error_is_told_by_the_name_of_its_class(error: Exception, words: str) -> None:
    assert worded(error) == words
