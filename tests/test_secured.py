"""A server with accounts, and one with TLS too: who may chats, who may not is told at once, and no password shows."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from streamcli.log.java.requests import ReadRequest
from streamcli.log.probe import Answer, probe
from streamcli.log.write_request import WriteRequest
from streamcli.model.address import Controller, Login, Stream
from tests.certificates import Authority
from tests.environment import STREAMCLI, make_home, workers_of
from tests.java_host import HostProcess, LaneUser
from tests.secured import ACCOUNTS, SCOPE, STREAM, Secured, running
from tests.terminal import Terminal

WRONG = "wrong-Secret-9"
AT_ONCE = 20.0  # seconds on a busy machine; who waits for the server waits LONG, and the client library 61 s
LONG = ["--timeout", "60"]
GENERAL = Stream(SCOPE, STREAM)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str
    seconds: float


def run(home: Path, env: dict[str, str], *arguments: str, typed: str = "") -> Ran:
    begun = time.monotonic()
    done = subprocess.run(
        [*STREAMCLI, *arguments],
        env={**make_home(home), **env},
        input=typed,
        capture_output=True,
        text=True,
        timeout=100,
    )
    return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)


@contextlib.contextmanager
def _with_a_stream(folder: Path, tls: bool) -> Iterator[Secured]:
    with running(folder / "server", tls) as server:
        made = run(folder / "admin", server.env("admin"), "send", "--timeout", "30", "hello")
        assert made.code == 0, made.err
        yield server


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server that asks for an account."""
    with _with_a_stream(tmp_path_factory.mktemp("closed"), tls=False) as server:
        yield server


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One that also speaks TLS."""
    with _with_a_stream(tmp_path_factory.mktemp("encrypted"), tls=True) as server:
        yield server


def forms(account: str, password: str) -> list[str]:
    """What must not be seen of a password."""
    return [
        password,
        json.dumps(password)[1:-1],
        base64.b64encode(password.encode()).decode(),
        base64.b64encode(f"{account}:{password}".encode()).decode(),
    ]


def hidden(text: str, account: str, password: str) -> bool:
    return not [form for form in forms(account, password) if form in text]


def all_files(home: Path) -> str:
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in home.rglob("*") if path.is_file())


def all_command_lines() -> str:
    return "\n".join(" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))


# Who may.


@pytest.mark.real
@pytest.mark.parametrize("kind", ["closed", "encrypted"])
def test_an_account_with_few_rights_sends_reads_and_chats(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: Secured = request.getfixturevalue(kind)
    env = server.env("alice")
    assert run(tmp_path, env, "send", f"a word over {kind}").code == 0
    read = run(tmp_path, env, "tail", "--no-follow", "--last", "1")
    assert read.out.endswith(f"a word over {kind}\n"), read.err
    password = ACCOUNTS["alice"][0]
    with Terminal([*STREAMCLI, "--id", "zoe", "--verbose"], {**make_home(tmp_path), **env}) as zoe:
        zoe.connected().enter("hello from zoe")
        zoe.see("zoe: hello from zoe")
        workers = workers_of(zoe.pid)
        assert set(workers) == {"read_worker", "write_worker"}
        assert hidden(all_command_lines(), "alice", password)
        for pid in workers.values():
            assert hidden(str(psutil.Process(pid).environ()), "alice", password)
        assert hidden("\n".join(zoe.lines()), "alice", password)
    assert hidden(all_files(tmp_path), "alice", password)


def test_doctor_says_who_we_are_and_that_the_rest_needs_more_rights(encrypted: Secured, tmp_path: Path) -> None:
    alice = run(tmp_path, encrypted.env("alice"), "doctor", *LONG)
    assert alice.code == 0, alice.out
    assert f"account       alice may use the stream {SCOPE}/{STREAM}\n" in alice.out
    assert f"TLS           the server's certificate is vouched for by {encrypted.ca}" in alice.out
    assert "not measured" in alice.out and alice.seconds < AT_ONCE
    assert hidden(alice.out + alice.err, "alice", ACCOUNTS["alice"][0])
    admin = run(tmp_path, encrypted.env("admin"), "doctor", *LONG)
    assert "20 messages" in admin.out


def test_a_login_file_is_enough(closed: Secured, tmp_path: Path) -> None:
    make_home(tmp_path)
    settings = tmp_path / ".config/streamcli"
    settings.mkdir(parents=True)
    login = settings / "login.toml"
    login.write_text(f'url = "{closed.url}"\naccount = "alice"\npassword = "{ACCOUNTS["alice"][0]}"\n')
    (settings / "config.toml").write_text(
        f'url = "{closed.url}"\nscope = "{SCOPE}"\nstream = "{STREAM}"\nlogin_file = "login.toml"\n'
    )
    login.chmod(0o640)
    refused = run(tmp_path, {}, "send", "hi")
    assert (refused.code, refused.err.count("\n")) == (78, 1)
    assert f"Other users can read the login file {login}" in refused.err
    login.chmod(0o600)
    assert run(tmp_path, {}, "send", "hi").code == 0


# Who may not.

CHAT: tuple[str, ...] = ()
RIGHT = f"READ_UPDATE on prn::/scope:{SCOPE}/stream:{STREAM}"
GROUPS = f"READ_UPDATE on prn::/scope:{SCOPE}/stream:nogroups-*_kvtable"  # which Java's client needs not


@pytest.mark.parametrize(
    ("account", "password", "command", "says"),
    [
        ("alice", WRONG, ("send", "hi"), "does not accept the account 'alice' with this password"),
        ("alice", WRONG, ("tail",), "does not accept the account 'alice' with this password"),
        ("alice", WRONG, ("doctor",), "does not accept the account 'alice' with this password"),
        ("alice", WRONG, ("history",), "does not accept the account 'alice' with this password"),
        ("alice", WRONG, CHAT, "does not accept the account 'alice' with this password"),
        ("nobody", WRONG, ("send", "hi"), "does not accept the account 'nobody' with this password"),
        ("", None, ("send", "hi"), "asks for an account"),
        ("", None, ("doctor",), "asks for an account"),
        ("stranger", None, ("send", "hi"), RIGHT),
        ("stranger", None, ("tail",), RIGHT),
        ("stranger", None, ("doctor",), RIGHT),
        ("onlyreads", None, ("tail",), RIGHT),
        pytest.param("nogroups", None, ("tail",), GROUPS, marks=pytest.mark.wheel),
        pytest.param("nogroups", None, CHAT, GROUPS, marks=pytest.mark.wheel),
        ("nostream", None, ("send", "--stream", "another", "hi"), "may not make it: that needs READ_UPDATE on prn::/"),
    ],
    ids=str,
)
def test_who_may_not_is_told_at_once(
    closed: Secured, tmp_path: Path, account: str, password: str | None, command: tuple[str, ...], says: str
) -> None:
    env = closed.env(account, password)
    refused = run(tmp_path, env, *command, *LONG, "--verbose", typed="typed\n")
    assert refused.code == 77, refused.err
    assert refused.seconds < AT_ONCE
    said = refused.out if command == ("doctor",) else refused.err.splitlines()[-1]
    assert says in said
    if account:
        everything = refused.out + refused.err + all_files(tmp_path)
        assert hidden(everything, account, env["STREAMCLI_PASSWORD"])
        assert "Basic " not in everything


def test_a_chat_with_a_wrong_password_says_so_and_stays_alive(closed: Secured, tmp_path: Path) -> None:
    env = {**make_home(tmp_path), **closed.env("alice", WRONG)}
    with Terminal([*STREAMCLI, "--id", "zoe"], env, columns=160) as zoe:
        zoe.see("does not accept the account 'alice' with this password")
        zoe.type("typed")
        zoe.see_typed("zoe> typed")
        assert hidden("\n".join(zoe.lines()) + all_files(tmp_path), "alice", WRONG)
        assert not workers_of(zoe.pid)


# TLS that does not fit.


@pytest.mark.parametrize(
    ("command", "case", "says"),
    [
        (("send", "hi"), "no TLS asked for", "speaks TLS only: its URL begins with tls://"),
        (("send", "hi"), "no TLS there", "speaks no TLS"),
        (("send", "hi"), "no authority", "a certificate that nobody we trust has signed"),
        (("send", "hi"), "the wrong authority", "a certificate that nobody we trust has signed"),
        (("tail",), "the wrong authority", "a certificate that nobody we trust has signed"),
        (("doctor",), "no TLS asked for", "speaks TLS only: its URL begins with tls://"),
        (CHAT, "no TLS asked for", "speaks TLS only: its URL begins with tls://"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_tls_that_does_not_fit_is_said_at_once(
    closed: Secured, encrypted: Secured, tmp_path: Path, command: tuple[str, ...], case: str, says: str
) -> None:
    env = encrypted.env("alice")
    if case == "no TLS asked for":
        env["STREAMCLI_URL"] = f"tcp://localhost:{encrypted.port}"
    elif case == "no TLS there":
        env["STREAMCLI_URL"] = f"tls://localhost:{closed.port}"
    elif case == "the wrong authority":
        env["STREAMCLI_CA"] = str(Authority(tmp_path / "another").file)
    else:
        del env["STREAMCLI_CA"]
    refused = run(tmp_path, env, *command, *LONG, typed="typed\n")
    assert refused.code == 77, refused.err
    assert refused.seconds < AT_ONCE
    assert says in refused.out + refused.err


def probed(controller: Controller, stream: Stream = GENERAL) -> Answer:
    return asyncio.run(probe(controller, stream, 10))


def test_a_certificate_for_another_host(encrypted: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: here)
    named = Controller("chat.example", encrypted.port, tls=True, ca=str(encrypted.ca))
    assert probed(named) is Answer.OTHER_HOST


@pytest.mark.parametrize(("days", "answer"), [(-1, Answer.OUT_OF_DATE), (1, Answer.STRANGER)])
def test_a_certificate_that_is_out_of_date(tmp_path: Path, days: int, answer: Answer) -> None:
    authority = Authority(tmp_path)
    authority.vouch_for("localhost", days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")

    async def main() -> None:
        def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example ESMTP\r\n")
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0, ssl=context)
        async with server:
            controller = Controller("localhost", server.sockets[0].getsockname()[1], tls=True, ca=str(authority.file))
            assert await probe(controller, GENERAL, 10) is answer

    asyncio.run(main())


def test_the_question_is_quick(closed: Secured, encrypted: Secured) -> None:
    login = Login("alice", ACCOUNTS["alice"][0])
    for server in (closed, encrypted):
        controller = Controller("localhost", server.port, login, server.ca is not None, str(server.ca))
        times = []
        for _ in range(7):
            begun = time.monotonic()
            assert probed(controller) is Answer.WELL
            times.append(time.monotonic() - begun)
        print(f"{server.url}: {sorted(times)}")
        assert sorted(times)[3] < 0.5


# Pravega's Java client.


def java_lane(host: HostProcess, controller: Controller, what: str) -> LaneUser:
    request = ReadRequest(SCOPE, STREAM, True, {}, None) if what == "read" else WriteRequest(SCOPE, STREAM)
    return host.lane(controller, what, request)


@pytest.mark.real
@pytest.mark.parametrize("kind", ["closed", "encrypted"])
def test_the_java_client_tells_who_may(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: Secured = request.getfixturevalue(kind)

    def controller(account: str, password: str | None = None) -> Controller:
        login = Login(account, password or ACCOUNTS[account][0])
        return Controller("localhost", server.port, login, bool(server.ca), str(server.ca) if server.ca else None)

    with HostProcess(tmp_path / "log") as host:
        writer = java_lane(host, controller("alice"), "write").is_open()
        writer.write(b"from Java")
        assert java_lane(host, controller("onlyreads"), "read").caught_up().datas[-1] == b"from Java"
        refused = java_lane(host, controller("onlyreads"), "write").is_open()
        refused.send_write(b"never")
        assert refused.fails()["kind"] == "denied" and RIGHT in refused.failed["text"]
        assert java_lane(host, controller("stranger"), "read").fails()["kind"] == "denied"
        for what in ("read", "write"):
            failed = java_lane(host, controller("alice", WRONG), what).fails()
            assert failed["kind"] == "password"
            assert hidden(failed["text"], "alice", WRONG)
    assert hidden((tmp_path / "log").read_text(), "alice", ACCOUNTS["alice"][0])


def test_the_java_client_checks_certificates(encrypted: Secured, tmp_path: Path) -> None:
    login = Login("alice", ACCOUNTS["alice"][0])
    Authority(tmp_path).vouch_for("localhost")
    with HostProcess() as host:
        for name, ca in (
            ("localhost", str(tmp_path / "ca.crt")),
            ("localhost", None),
            ("127.0.0.1", str(encrypted.ca)),
        ):
            failed = java_lane(host, Controller(name, encrypted.port, login, True, ca), "read").fails()
            assert failed["kind"] == "other" and "cert" in failed["text"].lower()
