"""A URL that names several controllers: what it may look like, and which of them a connection goes to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from streamcli.config import settle
from streamcli.errors import Unusable, UsageError
from streamcli.log.api import Phase, Target
from streamcli.log.opening import open_log
from streamcli.log.supervisor import Failure, none_of
from streamcli.model.address import Controller, Stream, WantedClient, parse_url
from streamcli.storage.directories import address_key, place_of
from tests.conftest import People
from tests.environment import STREAMCLI
from tests.fake_controller import NO, YES, FakeController, run, until
from tests.test_supervisor import TIMING, Watch

URL = "tcp://a.example:9090,b.example:9091"


@pytest.fixture(autouse=True)
def workers_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


# What a URL may look like.


@pytest.mark.parametrize(
    ("text", "places", "url"),
    [
        ("tcp://a:1", ["a:1"], "tcp://a:1"),
        ("tcp://a:1,b:2", ["a:1", "b:2"], "tcp://a:1,b:2"),
        ("tls://A.example:1,b.example:1/", ["a.example:1", "b.example:1"], "tls://a.example:1,b.example:1"),
        ("tcp://[::1]:9090,[::2]:9091,c:3", ["[::1]:9090", "[::2]:9091", "c:3"], "tcp://[::1]:9090,[::2]:9091,c:3"),
        ("tcp://b:2, a:1", ["b:2", "a:1"], "tcp://b:2,a:1"),
        ("tcp://a:1,tcp://b:2", ["a:1", "b:2"], "tcp://a:1,b:2"),
        ("tcp://a:1,b:2,a:1", ["a:1", "b:2"], "tcp://a:1,b:2"),
        ("tcp://a:1,a:1", ["a:1"], "tcp://a:1"),
    ],
)
def test_controllers_are_joined_by_commas(text: str, places: list[str], url: str) -> None:
    controller = parse_url(text)
    assert [one.place for one in controller.each] == places
    assert controller.url == url and parse_url(url) == controller
    assert all(one.others == () and one.tls == controller.tls for one in controller.each)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tcp://a:1,", "names no controller before or after a comma"),
        ("tcp://a:1,,b:2", "names no controller before or after a comma"),
        ("tcp://,a:1", "'tcp://' must have a host, a port and nothing else"),
        ("tcp://a,b:9090", "'tcp://a' must have a host, a port and nothing else"),
        ("tcp://a:1,b", "'tcp://b' must have a host, a port and nothing else"),
        ("tcp://a:1,b:x", "'tcp://b:x' is not a URL with a valid port"),
        ("tcp://a:1,b:2/path", "'tcp://b:2/path' must have a host"),
        ("tls://a.example:1,10.0.0.1:2", "'tls://10.0.0.1:2': TLS needs the server's name"),
        ("tcp://a:1,tls://b:2", "mixes tcp and tls"),
        ("tcp://a:1,http://b:2", "the scheme 'http' is unknown"),
        ("a:1,tcp://b:2", "is not a URL"),
        ("tcp://a:1,alice:secret@b:2", "does not belong in a URL"),
    ],
)
def test_what_is_wrong_with_one_of_them_is_said_in_one_line(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    assert why in str(caught.value) and "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_the_settings_and_the_environment_name_several_too(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'url = "{URL}"\n')
    for environment in ({}, {"STREAMCLI_URL": "tcp://b.example:9091,a.example:9090"}):
        controller = settle({"id": "tim"}, environment, file).controller
        assert isinstance(controller, Controller) and {one.place for one in controller.each} == {
            "a.example:9090",
            "b.example:9091",
        }
    with pytest.raises(Unusable, match=r"Check the variable STREAMCLI_URL\. 'tcp://a:1,' names no controller"):
        settle({"id": "tim"}, {"STREAMCLI_URL": "tcp://a:1,"}, file)


def test_the_same_controllers_have_the_same_history_in_whatever_order() -> None:
    stream = Stream("s", "t")
    keys = {
        address_key(parse_url(text), stream) for text in (URL, "tcp://b.example:9091,a.example:9090,b.example:9091")
    }
    assert keys == {"tcp://a.example:9090,b.example:9091 s/t"}
    assert address_key(parse_url("tcp://a.example:9090"), stream) == "tcp://a.example:9090 s/t"
    assert place_of(keys.pop()) == "tcp://a.example:9090,b.example:9091, s/t"


def test_a_password_goes_only_to_controllers_that_its_file_names(tmp_path: Path) -> None:
    file, login = tmp_path / "config.toml", tmp_path / "login.toml"
    file.write_text('login_file = "login.toml"\n')
    login.touch(0o600)
    login.write_text(f'url = "{URL}"\naccount = "alice"\npassword = "secret"\n')
    for url in (URL, "tcp://b.example:9091,a.example:9090", "tcp://b.example:9091"):
        controller = settle({"id": "tim", "url": url}, {}, file).controller
        assert isinstance(controller, Controller) and all(
            one.login and one.login.user == "alice" for one in controller.each
        )
    elsewhere = settle({"id": "tim", "url": "tcp://c.example:1,d.example:1"}, {}, file).controller
    assert isinstance(elsewhere, Controller) and elsewhere.login is None
    with pytest.raises(Unusable, match=r"login\.toml: its url does not name c\.example:1, ") as caught:
        settle({"id": "tim", "url": f"{URL},c.example:1"}, {}, file)
    assert "secret" not in str(caught.value)


# Which of them a connection goes to.

AWAY, WRONG = Failure("the server is not there"), Failure("the server asks for an account", final=True)
A, B = Controller("a", 1), Controller("b", 2)


def test_when_none_can_be_used_what_a_person_must_change_is_said_before_what_the_last_one_did() -> None:
    assert none_of([(A, AWAY)]) == (A, AWAY)
    (_, failure) = none_of([(A, AWAY), (B, AWAY)])
    assert failure == Failure("the server is not there (b:2; none of the 2 controllers can be used)")
    (_, failure) = none_of([(A, WRONG), (B, AWAY)])
    assert failure == Failure("the server asks for an account (a:1; none of the 2 controllers can be used)", final=True)


class Two(Watch):
    """A supervisor over fake workers and two fake controllers."""

    def __init__(self, *doings: str, due: Callable[[float], float | None] = lambda last: None) -> None:
        super().__init__(*doings, due=due, timing=replace(TIMING, lived=0.0))  # one that was open did not fail to start
        self.second = FakeController(YES)

    def locate(self) -> Controller:
        return Controller("127.0.0.1", self.controller.port, others=(("127.0.0.1", self.second.port),))

    def used(self) -> list[int]:
        return [lane.controller.port for lane in self.lanes if lane.opened and lane.controller]

    @contextlib.asynccontextmanager
    async def both(self) -> AsyncIterator[None]:
        async with self.second.listening(), self.watching():
            yield

    async def live_on(self, *ports: int) -> None:
        await until(lambda: self.used() == list(ports) and self.link().phase is Phase.LIVE)


@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", None, NO], ids=["gone", "other", "mute", "no"]
)
def test_the_first_that_answers_well_is_used(says: bytes | None) -> None:
    async def main() -> None:
        watch = Two("count", "count")
        watch.controller.says = says
        async with watch.both():
            await watch.live_on(watch.second.port, watch.second.port)
            assert watch.lanes[0].controller == Controller("127.0.0.1", watch.second.port)

    run(main())


def test_only_connections_that_break_go_to_the_next_and_none_is_moved_back() -> None:
    async def main() -> None:
        watch = Two("count", "count")
        async with watch.both():
            first, second = watch.controller.port, watch.second.port
            await watch.live_on(first, first)
            before = watch.pids()
            watch.controller.says = b""
            os.kill(before[1], signal.SIGKILL)
            await watch.live_on(first, second)
            assert watch.pids()[0] == before[0]
            watch.controller.says = YES
            os.kill(watch.pids()[1], signal.SIGKILL)
            await until(lambda: len(watch.starts[1]) == 3)
            await watch.live_on(first, second)  # the one that answered last time is asked first
            assert watch.pids()[0] == before[0]

    run(main())


def test_where_a_worker_could_not_be_started_the_next_one_is_tried() -> None:
    async def main() -> None:
        watch = Two("fail")
        async with watch.both():
            used = []
            for start in range(1, 4):
                await until(lambda: len(watch.starts[0]) == start)  # noqa: B023
                assert watch.lanes[0].controller
                used.append(watch.lanes[0].controller.port)
            assert used == [watch.controller.port, watch.second.port, watch.controller.port]

    run(main())


def test_on_a_cluster_a_worker_that_stands_still_is_replaced_with_all_others() -> None:
    async def main() -> None:
        watch = Two("beat", "beat", due=lambda last: last)
        async with watch.both():
            first = watch.controller.port
            await watch.live_on(first, first)
            before = watch.pids()
            os.kill(before[0], signal.SIGSTOP)
            await until(lambda: not set(before) & set(watch.pids()))
            await watch.live_on(first, first)

    run(main())


def test_when_none_answers_the_reason_and_the_controller_are_said_in_one_line() -> None:
    async def main() -> None:
        watch = Two("count")
        watch.controller.says = watch.second.says = NO
        async with watch.both():
            await until(lambda: watch.link().refused)
            refusal = str(watch.link().refusal)
            place = f"127.0.0.1:{watch.controller.port}"
            assert refusal.startswith("The server asks for an account: ")
            assert refusal.endswith(f"({place}; none of the 2 controllers can be used).")

    run(main())


# On the real server.


def test_the_real_server_is_found_behind_a_controller_that_is_gone(people: People) -> None:
    url = f"tcp://127.0.0.1:1,{people.url.removeprefix('tcp://')}"
    env = {**people.env("tim"), "STREAMCLI_URL": url}

    def streamcli(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*STREAMCLI, *arguments], env=env, capture_output=True, text=True, timeout=100)

    assert streamcli("send", "hello").returncode == 0
    assert streamcli("tail", "--no-follow").stdout.endswith(": hello\n")
    doctor = streamcli("doctor")
    assert doctor.returncode == 69
    assert "FAIL  server        tcp://127.0.0.1:1: the server is not there: nobody listens" in doctor.stdout
    assert f"ok    server        Pravega answers at {people.url}\n" in doctor.stdout
    assert "round trip" in doctor.stdout
    env["STREAMCLI_URL"] = "tcp://127.0.0.1:1,127.0.0.1:2"
    done = streamcli("send", "--timeout", "1", "hello")
    assert done.returncode == 69
    assert "nobody listens on that port (127.0.0.1:2; none of the 2 controllers can be used)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = streamcli("send", "--url", "tcp://127.0.0.1:1,", "hello")
    assert (done.returncode, len(done.stderr.splitlines())) == (64, 1)


def test_java_is_told_not_to_be_for_ipv6_addresses(tmp_path: Path) -> None:
    there = Controller("localhost", 1, others=(("::1", 1),))
    target = Target(Stream(), "tim", lambda: there, tmp_path, subprocess.DEVNULL, client=WantedClient("java"))
    with pytest.raises(Unusable, match=r"^The client java can't connect to an IPv6 address"):
        open_log(target, lambda status: None)
    target = replace(target, client=WantedClient("java", "the variable STREAMCLI_CLIENT"))
    with pytest.raises(Unusable, match=r"^Check the variable STREAMCLI_CLIENT. The client java can't connect"):
        open_log(target, lambda status: None)
