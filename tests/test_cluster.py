"""A real cluster of eight processes, some of which are killed; and what is said when there is none."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster import record
from cluster.cluster import Cluster
from cluster.record import PARTS, kind_of
from cluster.settings import Kind
from streamcli.errors import Unreachable, Unusable, UsageError
from streamcli.model.address import parse_url
from tests.conftest import eventually
from tests.environment import STREAMCLI, make_home
from torture.silence import Kill, longest, order, rows

START = 120.0  # seconds, on a machine on which much else goes on
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start(START)
        yield cluster
    finally:
        cluster.delete()


@pytest.fixture
def env(cluster: Cluster, tmp_path: Path) -> dict[str, str]:
    named = {"STREAMCLI_URL": cluster.url, "STREAMCLI_LOGIN_FILE": str(cluster.login_file), "STREAMCLI_ID": "tim"}
    return make_home(tmp_path) | named


def streamcli(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*STREAMCLI, *arguments], env=env, capture_output=True, text=True, timeout=100)


def said(env: dict[str, str]) -> list[str]:
    done = streamcli(env, "tail", "--no-follow", "--timeout", "60")
    assert done.returncode == 0, done.stderr
    return [line.partition(": ")[2] for line in done.stdout.splitlines()]


# On a real one; slow, since it starts eight processes.


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_messages_go_on_when_the_controller_in_use_is_killed(
    cluster: Cluster, env: dict[str, str], tmp_path: Path
) -> None:
    first = next(part for part in PARTS if cluster.port(part) == parse_url(cluster.url).port)
    assert kind_of(first) is Kind.CONTROLLER and set(cluster.status().values()) == {"ready"}
    assert streamcli(env, "send", "--timeout", "60", "before").returncode == 0
    shown = tmp_path / "shown"
    with shown.open("w") as out, subprocess.Popen([*STREAMCLI, "tail"], env=env, stdout=out) as tail:
        try:
            eventually(lambda: "before" in shown.read_text())
            assert cluster.kill(first) and cluster.status()[first] == "down"
            begun = time.monotonic()
            done = streamcli(env, "send", "after")
            assert done.returncode == 0, done.stderr
            assert time.monotonic() - begun < 10
            eventually(lambda: "after" in shown.read_text())
            assert said(env) == ["before", "after"]
        finally:
            tail.kill()
    doctor = streamcli(env, "doctor", "--timeout", "30")
    assert doctor.returncode == 69
    servers = re.findall(r"^(ok|FAIL) +server +(?:Pravega answers at )?(tcp://[\d.]+:\d+)", doctor.stdout, re.MULTILINE)
    assert dict((url, mark) for mark, url in servers) == {  # noqa: C402
        one.url: "FAIL" if one.port == cluster.port(first) else "ok" for one in parse_url(cluster.url).each
    }
    assert "round trip" in doctor.stdout
    cluster.restart(first, START)
    assert cluster.status()[first] == "ready"
    assert said(env) == ["before", "after"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_parts_listen_on_loopback_only_and_a_password_is_asked_for(cluster: Cluster, env: dict[str, str]) -> None:
    listening = []
    for part in PARTS:
        pid = cluster.pid(part)
        assert pid
        for one in psutil.Process(pid).net_connections(kind="tcp"):
            if one.status == psutil.CONN_LISTEN:
                listening.append((part, one.laddr.ip))
        assert cluster.login.password not in " ".join(psutil.Process(pid).cmdline())
    assert len(listening) >= len(PARTS)
    assert {address for _, address in listening} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert cluster.login_file.stat().st_mode & 0o077 == 0
    del env["STREAMCLI_LOGIN_FILE"]
    done = streamcli(env, "send", "hello")
    assert done.returncode == 77
    assert "asks for an account" in done.stderr and "none of the 2 controllers can be used" in done.stderr


# Without one.


def test_what_can_not_be_done_is_said(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    assert cluster.status() == {} and not cluster.stop()
    for ask in (lambda: cluster.url, lambda: cluster.kill("store-1"), lambda: cluster.restart("store-1")):
        with pytest.raises(Unreachable, match="it was never started"):
            ask()
    kept = record.new()
    assert len(set(kept.ports.values())) == len(kept.ports) == len(PARTS) + 2
    record.write(tmp_path, kept)
    assert cluster.url == kept.url and len(parse_url(cluster.url).each) == 2
    assert set(cluster.status().values()) == {"down"} and not cluster.kill("store-1")
    with pytest.raises(UsageError, match=r"There is no part 'store-9'\. There are: zookeeper, bookie-1, "):
        cluster.kill("store-9")
    (tmp_path / record.FILE).write_text("{")
    with pytest.raises(Unusable, match=r"Delete .* to begin anew"):
        cluster.status()


def test_a_taken_port_and_a_second_start_are_said(tmp_path: Path) -> None:
    kept = record.new()
    record.write(tmp_path, kept)
    with socket.socket() as other:
        other.bind(("127.0.0.1", kept.ports["zookeeper"]))
        other.listen()
        with pytest.raises(Unreachable, match=f"Port {kept.ports['zookeeper']} of zookeeper is taken"):
            Cluster(tmp_path).start()
    with Cluster(tmp_path)._alone(), pytest.raises(Unreachable, match="Another program is starting or stopping"):
        Cluster(tmp_path).start()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["status"], 3, "store-2       down"),
        (["stop"], 0, "did not run"),
        (["kill", "store-1"], 69, "it was never started"),
        (["start"], 78, "/a test that starts Java is marked real"),
    ],
)
def test_the_command_says_how_it_is(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    command = [sys.executable, "-m", "cluster", "--folder", str(tmp_path / "cluster"), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert words in done.stdout + done.stderr and "Traceback" not in done.stderr


# How the torture on it measures.


def test_the_longest_silence_is_that_of_any_way_within_the_window() -> None:
    steady = [number / 10 for number in range(200)]
    broken = [time for time in steady if not 5.0 < time < 9.05]
    arrivals = {("tim", "tim"): steady, ("tim", "alex"): broken}
    assert longest(arrivals, 4.9, 15.0) == pytest.approx(4.1)
    assert longest(arrivals, 7.0, 15.0) == pytest.approx(2.1)
    assert longest(arrivals, 10.05, 15.0) == pytest.approx(0.1)
    kill = Kill("store-2", at=4.9, again=10.0, until=15.0)
    assert rows([kill], arrivals, {"store": "segment store", "bookie": "bookie"})[2:] == [
        "| segment store | 1 | 4.1 s, 4.1 s | 0.1 s, 0.1 s |"
    ]


def test_the_order_of_kills_is_the_seed_s_and_fair() -> None:
    kinds = [["store-1", "store-2"], ["bookie-1", "bookie-2", "bookie-3"], ["controller-1", "controller-2"]]
    parts = order(1, kinds, 30)
    assert parts == order(1, kinds, 30) != order(2, kinds, 30)
    for kind in ("store", "bookie", "controller"):
        assert sum(part.startswith(kind) for part in parts) == 10
    assert parts.count("store-1") == parts.count("store-2") == 5
