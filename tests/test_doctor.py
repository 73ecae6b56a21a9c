"""``streamcli doctor`` on a machine that is well, and on some that are not."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.conftest import People, Server
from tests.environment import STREAMCLI, make_home
from tests.raw import Raw


def doctor(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*STREAMCLI, "doctor", *arguments],
        env={**make_home(home), **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


def test_all_is_well_and_nothing_is_left_on_the_server(people: People, tmp_path: Path) -> None:
    done = doctor(tmp_path, "--url", people.url, "--id", "tim")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok  ") for line in lines)
    assert re.search(r"round trip +\d+\.\d ms at the median, \d+\.\d ms at most, 20 messages", lines[-1])
    group = re.search(r"reader +reader group made, read and deleted: (tim-\S+)", done.stdout)
    assert group
    with Raw(people.url, people.stream) as raw:
        assert raw.group_is_deleted(group[1])
        assert not [name for name in raw.streams() if "doctor" in name]


def test_the_embedded_server_and_its_parts_are_looked_at(server: Server) -> None:
    done = subprocess.run([*STREAMCLI, "doctor"], env=server.env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout
    for what in ("Python", "Client", "Java", "Jars", "cache folder", "state folder", "settings", "log file", "server"):
        assert f"ok    {what} " in done.stdout
    assert "all 110 are here" in done.stdout


def test_with_the_java_client_java_and_its_jars_are_looked_at(people: People, tmp_path: Path) -> None:
    done = doctor(tmp_path, "--url", people.url, "--id", "tim", "--client", "java")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^ok    Client +java .*: as set$", done.stdout, re.MULTILINE)
    assert re.search(r"^ok    Java +.*17\.", done.stdout, re.MULTILINE)
    assert re.search(r"^ok    Jars +all 31 are here", done.stdout, re.MULTILINE)
    assert "read without a reader group" in done.stdout


@pytest.mark.real
def test_what_is_not_well_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    done = doctor(tmp_path)
    assert done.returncode == 69
    assert "FAIL  server" in done.stdout
    assert "`streamcli server start`" in done.stdout

    done = doctor(tmp_path, STREAMCLI_JAVA="/nowhere/java")
    assert done.returncode == 78
    assert "FAIL  Java" in done.stdout and "STREAMCLI_JAVA names /nowhere/java" in done.stdout

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        done = doctor(tmp_path, "--url", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
    assert done.returncode == 69
    assert "the server does not answer" in done.stdout


def test_a_server_that_stands_still_is_given_up(people: People, server: Server, tmp_path: Path) -> None:
    with server.stopped_in_its_tracks():
        done = doctor(tmp_path, "--url", people.url, "--timeout", "2")
    assert done.returncode == 69
    assert "does not answer" in done.stdout
