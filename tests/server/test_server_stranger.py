"""A stranger's view: without the password nothing of the embedded server can be read, written, made or deleted.

Each attempt is also made where it must succeed, so that a refusal is not just an attempt done wrong.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import sys
import time

import psutil
import pytest

from streamcli.model.address import Login
from tests.conftest import Server
from tests.orders import account
from tests.raw import Raw
from tests.server import stranger
from tests.server.conftest import Durable, listening, port_of

TRIES = 6.0  # seconds all attempts may take, many times what the owner's take: a refused client tries for 61
WRONG = Login("streamcli", "wrong")


def attempts(url: str, login: Login | None) -> dict[str, subprocess.Popen[str]]:
    env = {**os.environ, **(account(login) if login else {}), "RUST_LOG": "off"}
    return {
        what: subprocess.Popen(
            [sys.executable, stranger.__file__, url, what],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for what in stranger.CLIENT_ATTEMPTS
    }


def ended(processes: dict[str, subprocess.Popen[str]]) -> dict[str, str]:
    """What each attempt printed: "True" if it succeeded."""
    said, end = {}, time.monotonic() + TRIES
    for what, process in processes.items():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))
        process.kill()
        said[what] = process.communicate()[0].strip()
    return said


def test_every_port_is_on_loopback_and_nowhere_else(durable: Durable) -> None:
    ports = listening(durable.server.pid)
    assert len(ports) == 4
    assert set(ports.values()) == {"127.0.0.1"}
    others = {a.address for all_of in psutil.net_if_addrs().values() for a in all_of if a.family == socket.AF_INET}
    for port in ports:
        socket.create_connection(("127.0.0.1", port), 1).close()
        for address in {"127.0.0.2", *others} - {"127.0.0.1"}:
            with pytest.raises(OSError):
                socket.create_connection((address, port), 1).close()


@pytest.mark.wheel
def test_with_pravegas_client(durable: Durable) -> None:
    url = durable.server.url
    with Raw(url, "stream", login=durable.login) as owner:
        owner.write(b"a secret")
        before = owner.events()
        strangers = [attempts(url, None), attempts(url, WRONG)]
        for said in map(ended, strangers):
            assert "True" not in said.values()
        assert owner.events() == before
        assert not {"stranger", "doomed"} & set(owner.streams())
        assert set(ended(attempts(url, durable.login)).values()) == {"True"}
        assert owner.events() != before


def test_by_rest(durable: Durable) -> None:
    port = durable.ports["rest"]
    right, wrong = (
        "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        for login in (durable.login, WRONG)
    )
    for method, path, asked in stranger.REST_ATTEMPTS:
        for authorization in (None, wrong):
            status, body = stranger.rest(port, method, path, asked, authorization)
            assert status == 401, (method, path, status)
            assert b"_system" not in body
    assert stranger.rest(port, "GET", "/v1/scopes", None, right)[0] == 200
    # What is open, as docs/security.md says.
    assert stranger.rest(port, "GET", "/ping", None)[0] == 200
    assert stranger.rest(port, "GET", "/v1/health", None)[0] == 200


def test_by_the_segment_stores_own_protocol(durable: Durable, server: Server) -> None:
    for target, login in ((durable.server, durable.login), (server, None)):
        with Raw(target.url, "wire", login=login) as owner:
            owner.write(b"a secret")
    segment = "scope/wire/0.#epoch.0"
    for token in ("", "x.y.z"):
        answers = stranger.segment_store(durable.ports["segment_store"], segment, token)
        assert set(answers.values()) == {stranger.REFUSED}
    answers = stranger.segment_store(port_of(server, "segment store"), segment)
    assert stranger.REFUSED not in answers.values()
    assert answers[stranger.READ] == stranger.READ + 1


def test_at_zookeeper(durable: Durable, server: Server) -> None:
    assert stranger.zookeeper(durable.ports["zookeeper"]) == [stranger.NEEDS_PASSWORD]
    assert stranger.zookeeper(port_of(server, "zookeeper")) == [0, 0, 0]
    for word in (b"stat", b"dump", b"cons", b"envi", b"wchp", b"mntr", b"conf"):
        with socket.create_connection(("127.0.0.1", durable.ports["zookeeper"]), 5) as one:
            one.sendall(word)
            assert b"not in the whitelist" in one.recv(4096), word


def test_the_secrets_stand_in_no_file_of_others_no_argument_and_no_log(durable: Durable) -> None:
    secrets = [durable.login.password, durable.signing_key, durable.zookeeper_password]
    secrets += [base64.b64encode(f"{durable.login.user}:{durable.login.password}".encode()).decode()]
    found = set()
    for path in durable.home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0 or path.parents[0].name == "tmp", path
            if any(secret.encode() in path.read_bytes() for secret in secrets):
                found.add(path.name)
    assert found == {"credentials.json", "launch.json", "jaas.conf"}
    process = psutil.Process(durable.server.pid)
    shown = " ".join(process.cmdline()) + " ".join(f"{k}={v}" for k, v in process.environ().items())
    assert not [secret for secret in secrets if secret in shown]
