"""The durable server as a person meets it: it crashes, it is stopped, it starts again, and everything is there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import eventually, nobody_starts_a_server, start_server
from tests.environment import STREAMCLI, make_home
from tests.raw import Raw
from tests.server import kills
from tests.server.conftest import Durable
from tests.terminal import Terminal

WIDE = 200  # columns, so that the status line shows all it has to say
MEMORY = 600.0  # MiB
BURST = 300  # MiB, three times what a running server puts into its cache
LONG = 160  # MiB, more than the server's cache holds


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*STREAMCLI, *arguments], env=env, capture_output=True, text=True, timeout=90)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def facts(env: dict[str, str]) -> dict[str, str]:
    done = run(env, "server", "status")
    assert done.returncode == 0, done.stdout
    return dict(re.split(r"  +", line.strip(), maxsplit=1) for line in done.stdout.splitlines()[1:])


def stopped_on_purpose(env: dict[str, str]) -> bool:
    """Whether the server does not run, and nobody is about to start it."""
    done = run(env, "server", "status")
    return done.returncode == 3 and "stopped on purpose" in done.stdout


@pytest.mark.real
def test_a_newcomer_chats_the_server_crashes_and_is_stopped_and_nothing_is_gone(tmp_path: Path) -> None:
    env = make_home(tmp_path)
    with Terminal([*STREAMCLI, "--id", "tim"], env, columns=WIDE) as tim:
        tim.connected()
        tim.enter("before the crash")
        tim.see("tim: before the crash")
        pid = int(facts(env)["pid"])
        with nobody_starts_a_server(env):
            os.kill(pid, signal.SIGKILL)
            tim.see_last("ended unexpectedly")
            tim.enter("while it is away")
        tim.see("tim: while it is away")  # nobody did anything: the chat has started it again
        assert tim.count("This is another log") == 0
        tim.connected()

        assert run(env, "server", "stop").returncode == 0
        tim.see_last("stopped on purpose")
        tim.enter("after the stop")
        end = time.monotonic() + 3  # the chat looks twice a second whether to start it, and nothing tells of a look
        while time.monotonic() < end:
            assert stopped_on_purpose(env), "it was started again"
        assert run(env, "server", "start", "--timeout", "60").returncode == 0
        tim.see("tim: after the stop")
        tim.type("\x04")
        tim.end(10)
    told = run(env, "tail", "--no-follow").stdout
    assert re.findall(r"tim: (.*?)(?: \(typed.*)?$", told, re.MULTILINE) == [
        "before the crash",
        "while it is away",
        "after the stop",
    ]
    run(env, "server", "stop")


@pytest.mark.real
def test_kills_under_load_lose_nothing(home: Path) -> None:
    seen = kills.run(3, seed=3, say=False)
    assert 1 <= len(seen.starts) <= 3
    assert seen.present >= seen.count > 1000


def test_the_check_of_the_kills_sees_a_loss() -> None:
    kills.check([range(0, 3), range(10, 12)], [0, 1, 2, 3, 10, 11])
    for events in ([0, 1, 2, 10], [0, 2, 1, 10, 11], [0, 1, 1, 2, 10, 11]):
        with pytest.raises(AssertionError):
            kills.check([range(0, 3), range(10, 12)], events)


def test_the_status_has_a_line_for_each_part(durable: Durable) -> None:
    said = facts(durable.server.env)
    for part, port in (("zookeeper", "zookeeper"), ("controller", "rpc"), ("segment store", "segment_store")):
        assert said[part] == f"port {durable.ports[port]}, ok"
    eventually(lambda: facts(durable.server.env)["bookie"] == "no port, ok", 10)
    assert said["data"].startswith(f"{durable.data}, ")
    assert psutil.Process(durable.server.pid).memory_info().rss / 2**20 < MEMORY


def test_who_reads_a_long_log_holds_up_nobody(durable: Durable) -> None:
    # By default what was read fills the cache, and while it is full the server makes all who write wait, for seconds.
    with Raw(durable.server.url, "long", login=durable.login) as raw:
        for _ in range(LONG // 10):
            raw.write(*[bytes(1 << 20)] * 10)
    command = [*STREAMCLI, "tail", "--no-follow", "--stream", "long"]
    readers = [subprocess.Popen(command, env=durable.server.env, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [reader.wait(60) for reader in readers] == [0, 0, 0]
    log = (durable.home / ".local/state/streamcli/server/log/server.log").read_text()
    assert not re.findall(r".*Throttler.*Reason=Cache.*", log)


@pytest.mark.real
@pytest.mark.timeout(240)
def test_a_crash_right_after_a_burst_is_recovered_from(tmp_path: Path) -> None:
    # A start puts what was written since the last checkpoint into the segment store's cache. It has to fit.
    env = make_home(tmp_path)
    server = start_server(env, "--no-auth")
    with Raw(server.url, "burst") as raw:
        for _ in range(BURST // 10):
            raw.write(*[bytes(1 << 20)] * 10)
    server.kill()
    again = start_server(env, "--no-auth")
    try:
        with Raw(again.url, "burst") as raw:
            assert raw.bounds() == (0, BURST * (8 + (1 << 20)))
    finally:
        again.stop()


def test_its_data_are_its_owners_alone(durable: Durable) -> None:
    assert durable.data.stat().st_mode & 0o777 == 0o700
    for path in durable.data.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_data_folder_has_one_server(durable: Durable, tmp_path: Path) -> None:
    other = make_home(tmp_path)
    done = run(other, "server", "start", "--data-dir", str(durable.data))
    assert done.returncode == 78
    assert done.stderr.splitlines()[-1] == (
        f"streamcli: The data folder {durable.data} is in use by another server. Stop that one, or name another."
    )
    assert "never started" in run(other, "server", "status").stdout


def test_a_running_server_is_not_made_another(durable: Durable, tmp_path: Path) -> None:
    for options in (["--in-memory"], ["--no-auth"], ["--data-dir", str(tmp_path)]):
        done = run(durable.server.env, "server", "start", *options)
        assert done.returncode == 64
        assert "`streamcli server stop` first" in done.stderr
    done = run(durable.server.env, "server", "start")
    assert done.returncode == 0
    assert f"is already running at {durable.server.url}, with its data in {durable.data}" in done.stdout


def test_the_state_of_this_start_is_kept_for_the_next(durable: Durable) -> None:
    kept = json.loads((durable.home / ".local/state/streamcli/server/state.json").read_text())
    assert kept["choice"] == {"durable": True, "data": str(durable.data), "auth": True}
