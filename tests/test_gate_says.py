"""A guest's log when a gate says what it should not: the connection is replaced, and the chat goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from streamcli.gate.certificates import server_context
from streamcli.log.api import ConnectionStatus, Phase
from streamcli.log.frames import Frame, pack, pack_count, pack_events, pack_json
from streamcli.log.gate.adapter import GateLog, Patience
from streamcli.log.gate.gate_frames import is_admission, words_of
from streamcli.log.gate.tls import LOG_PROTOCOL
from streamcli.model.joined_chat import JoinedChat
from tests.fake_controller import run, until
from tests.gate_running import GateThread
from tests.log_users import Appending, Reading, used
from tests.memory_stream import MemoryStream

PATIENT = Patience(look=0.02, back_off=(0.02,), refused=0.02)
OPENED = {"log": "log-1", "segments": 1, "starts": {"log-1#0": 0}, "tails": {"log-1#0": 0}}
WELCOME = pack_json(Frame.WELCOME, name="tim", owner="owner", stream="s/s", places=[])
WELL = WELCOME + b"".join(
    [
        pack_json(Frame.STATUS, phase="connected", words=""),
        pack_json(Frame.OPENED, **OPENED),
        pack(Frame.CAUGHT_UP),
        pack_json(Frame.WRITABLE, log="log-1", life=1),
    ]
)

Says = Callable[[asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def gate_that(says: Says, folder: Path) -> AsyncIterator[JoinedChat]:
    """A gate that says something to each who comes, and then waits until they go."""
    keys = GateThread(folder, MemoryStream())
    context = server_context(keys.keys)
    context.set_alpn_protocols([LOG_PROTOCOL])

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError):
            await says(writer)
            while await reader.read(1 << 16):
                pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        keys.port = server.sockets[0].getsockname()[1]
        try:
            yield keys.guest("tim")
        finally:
            for writer in writers:
                writer.transport.abort()


def what_is_said(says: Says, folder: Path, enough: Callable[[list[ConnectionStatus], Reading], object]) -> None:
    """Run a log against that gate until it is enough; nothing may go wrong in the loop."""

    async def main() -> None:
        said: list[ConnectionStatus] = []
        wrong: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: wrong.append(context))
        async with gate_that(says, folder) as chat:
            log = GateLog(chat, said.append, patience=PATIENT)
            reading, appending = Reading(log), Appending(log)
            async with used(log):
                await until(lambda: enough(said, reading))
            assert appending.wrong_threads == reading.wrong_threads == []
        assert wrong == []

    run(main())


def is_live(said: list[ConnectionStatus]) -> bool:
    return bool(said) and said[-1].phase is Phase.LIVE


def test_what_is_as_it_should_be_is_understood(tmp_path: Path) -> None:
    async def says(writer: asyncio.StreamWriter) -> None:
        writer.write(WELL + pack_events([(0, b"one"), (11, b"two")]))

    what_is_said(says, tmp_path, lambda said, reading: is_live(said) and reading.datas == [b"one", b"two"])


BAD: dict[str, bytes] = {
    "no frame": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a frame of an unknown type": b"\0\0\0\x03\x63\0\0",
    "a frame of 4 GiB": b"\xff\xff\xff\xff\x03\0\0",
    "a WELCOME without addresses": pack_json(Frame.WELCOME, name="tim"),
    "a WELCOME with strange addresses": pack_json(Frame.WELCOME, places=[["h", "4483"]]),
    "a STATUS of an unknown kind": pack_json(Frame.STATUS, phase="well", words=""),
    "a STATUS without words": pack_json(Frame.STATUS, phase="connected", words=None),
    "FAILED as a list": pack(Frame.FAILED, b"[]"),
    "FAILED without words": pack_json(Frame.FAILED, kind="denied", text=1),
    "WRITABLE for a negative time": pack_json(Frame.WRITABLE, log="log-1", life=-1),
    "WRITABLE without a log": pack_json(Frame.WRITABLE, life=1),
    "OPENED without a segment": pack_json(Frame.OPENED, **OPENED | {"starts": {}}),
    "OPENED at no offset": pack_json(Frame.OPENED, **OPENED | {"starts": {"log-1#0": "0"}}),
    "OPENED with more": pack(Frame.OPENED, b"{" * 5000),
    "no events": pack(Frame.EVENTS, bytes(8)),
    "half an event": pack(Frame.EVENTS, bytes(15)),
    "events beyond all offsets": pack_events([((1 << 64) - 1, b"x")]),
    "events out of order": pack_events([(100, b"x"), (0, b"y")]),
    "WRITTEN without a number": pack(Frame.WRITTEN),
    "REJECTED without words": pack_json(Frame.REJECTED),
    "a guest's frame": pack_count(Frame.WRITING, 1),
}


@pytest.mark.parametrize("what", BAD)
def test_after_what_it_should_not_say_the_gate_is_asked_again(tmp_path: Path, what: str) -> None:
    times = 0

    async def says(writer: asyncio.StreamWriter) -> None:
        nonlocal times
        times += 1
        writer.write(WELL if times == 3 else WELL + BAD[what])

    def is_told(said: list[ConnectionStatus], reading: Reading) -> bool:
        return times == 3 and is_live(said) and "what the gate says can't be used" in [one.words for one in said]

    what_is_said(says, tmp_path, is_told)


def test_what_a_gate_says_does_not_steer_the_terminal(tmp_path: Path) -> None:
    async def says(writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME + pack_json(Frame.FAILED, kind="denied", text="\x1b[2Jgone\n\u202e" + "x" * 1000))

    def is_told(said: list[ConnectionStatus], reading: Reading) -> bool:
        refusals = [one.words for one in said if one.refused]
        assert all(len(words) == 300 and "\x1b" not in words and "\n" not in words for words in refusals)
        assert all(words.startswith("\ufffd[2Jgone\ufffd\ufffdxxx") for words in refusals)
        return bool(refusals)

    what_is_said(says, tmp_path, is_told)


def test_a_frame_that_takes_long_to_come_is_waited_for(tmp_path: Path) -> None:
    """On a slow network a megabyte takes its time; each byte of it is a sign of life."""
    frame = pack_events([(0, b"x" * 1000)])
    impatient = Patience(look=0.02, replaced_after=0.5, back_off=(0.02,))
    times = 0

    async def says(writer: asyncio.StreamWriter) -> None:
        nonlocal times
        times += 1
        writer.write(WELL)
        for at in range(0, len(frame), 64):
            await asyncio.sleep(0.1)
            writer.write(frame[at : at + 64])

    async def main() -> None:
        async with gate_that(says, tmp_path) as chat:
            log = GateLog(chat, lambda status: None, patience=impatient)
            reading, _ = Reading(log), Appending(log)
            async with used(log):
                await reading.has(1)
                assert times == 1
                await until(lambda: times == 2)  # now nothing comes any more

    run(main())


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("it is not from \U0001f469\u200d\U0001f467", "it is not from \U0001f469\u200d\U0001f467"),
        ("a\x07b\x9bc\u2028d\u202ee\ud800f", "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf"),
        ("é\u0301 日本 ü", "é\u0301 日本 ü"),
    ],
)
def test_words_are_shown_as_they_are_but_for_what_steers(said: str, shown: str) -> None:
    assert words_of(said) == shown


@pytest.mark.parametrize(
    ("owner", "taken"),
    [("tim", True), ("\U0001f469\u200d\U0001f467", True), ("", False), ("a\u202eb", False), (7, False)],
)
def test_a_chat_has_an_owner(owner: object, taken: bool) -> None:
    answer = {"certificate": "", "owner": owner, "stream": "s/s", "places": [["::1", 4483]]}
    assert is_admission(answer) == taken
