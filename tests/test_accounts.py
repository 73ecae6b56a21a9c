"""Accounts without a server: where they come from, what is refused, and that no text brings a password out again."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamcli.config import settle
from streamcli.errors import Unusable, UsageError
from streamcli.log.channel import WorkerEvents
from streamcli.log.frames import Frame, Splitter, pack_json, unpack_json
from streamcli.log.process import WorkerProcess
from streamcli.log.redaction import redacted
from streamcli.model.address import Controller, Login, parse_url
from tests.certificates import Authority
from tests.fake_worker import FakeRequest

URL = "tcp://chat.example:9090"
ALICE = Login("alice", 'horse "bättery" 42')
ENVIRONMENT = {"STREAMCLI_ACCOUNT": ALICE.user, "STREAMCLI_PASSWORD": ALICE.password, "STREAMCLI_URL": URL}
# What client 0.3.8 said to a server 0.13.0 that knew no such password; the header is put in.
PANIC = (
    "thread '<unnamed>' panicked at pravega-client-0.3.7/src/event/reader_group.rs:121:22:\n"
    "Error while fetching stream's tail segments to read from: ControllerConnectionError { source: OperationError { "
    'can_retry: true, operation: "getCurrentSegments", error_msg: "status: Unauthenticated, message: \\"\\", details: '
    '[], metadata: MetadataMap { headers: {\\"content-type\\": \\"application/grpc\\", \\"authorization\\": \\"Basic '
    '%s\\"} }" }, stream: "acme/general", can_retry: false, error_msg: "Failed to fetch Stream\'s current segments '
    'from controller" }\n'
)


def header(login: Login) -> str:
    return base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def hidden(text: str) -> bool:
    escaped = json.dumps(ALICE.password)[1:-1]
    return not [secret for secret in (ALICE.password, escaped, header(ALICE), header(ALICE)[:20]) if secret in text]


# Where they come from.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The settings' file, which names a login file beside it."""
    file = tmp_path / "config.toml"
    file.write_text(f'url = "{URL}"\nid = "tim"\nlogin_file = "login.toml"\n')
    write_login(file)
    return file


def write_login(file: Path, **changes: object) -> Path:
    texts = {"url": URL, "account": ALICE.user, "password": ALICE.password, **changes}
    login = file.with_name("login.toml")
    login.touch(0o600)
    login.write_text("".join(f"{key} = {json.dumps(text)}\n" for key, text in texts.items() if text is not None))
    return login


def login_of(file: Path, environment: dict[str, str], url: str | None = None) -> Login | None:
    controller = settle({"url": url, "id": "tim"}, environment, file).controller
    assert isinstance(controller, Controller)
    return controller.login


def test_the_environment_beats_the_login_file_and_without_both_there_is_none(file: Path, tmp_path: Path) -> None:
    assert login_of(file, {}) == ALICE
    assert login_of(file, {**ENVIRONMENT, "STREAMCLI_ACCOUNT": "bob"}) == Login("bob", ALICE.password)
    assert login_of(tmp_path / "none.toml", {"STREAMCLI_URL": URL}) is None
    elsewhere = write_login(file).rename(tmp_path / "elsewhere.toml")
    assert login_of(file, {"STREAMCLI_LOGIN_FILE": str(elsewhere)}) == ALICE


@pytest.mark.parametrize("url", ["tcp://chat.example:9091", "tcp://elsewhere.example:9090", "tls://chat.example:9090"])
def test_a_password_is_shown_to_no_server_but_its_own(file: Path, url: str) -> None:
    assert login_of(file, {}, url) is None


def test_the_embedded_server_has_accounts_of_its_own(file: Path) -> None:
    file.write_text('login_file = "login.toml"\n')
    assert settle({"id": "tim"}, {"STREAMCLI_ACCOUNT": "a", "STREAMCLI_PASSWORD": "b"}, file).controller is None


def test_reader_groups_begin_with_the_account_or_else_the_speaker(file: Path) -> None:
    assert settle({}, {}, file).group_owner == "alice"
    assert settle({"url": "tcp://elsewhere.example:1"}, {}, file).group_owner == "tim"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_a_login_file_that_others_can_open_is_refused(file: Path, mode: int) -> None:
    login = write_login(file)
    login.chmod(mode)
    with pytest.raises(Unusable, match=f"Other users can read the login file {login}.*chmod 600"):
        login_of(file, {})


@pytest.mark.parametrize(
    "changes",
    [{"password": None}, {"account": 5}, {"account": ""}, {"more": "x"}, {"account": "a:b"}, {"password": "a\nb"}],
    ids=str,
)
def test_a_login_file_that_is_none_is_refused_without_being_quoted(file: Path, changes: dict[str, object]) -> None:
    write_login(file, **changes)
    with pytest.raises(Unusable) as caught:
        login_of(file, {})
    assert "login.toml" in str(caught.value)
    assert hidden(str(caught.value)) and caught.value.__cause__ is None


def test_a_login_file_in_pieces_missing_or_not_a_file(file: Path) -> None:
    login = file.with_name("login.toml")
    login.write_bytes(f'password = "{ALICE.password}\n'.encode("latin-1"))
    with pytest.raises(Unusable, match="must contain exactly url, account and password"):
        login_of(file, {})
    login.unlink()
    with pytest.raises(Unusable, match=r"login\.toml can't be read: No such file"):
        login_of(file, {})
    login.mkdir()
    with pytest.raises(Unusable, match=r"login\.toml can't be read"):
        login_of(file, {})


@pytest.mark.parametrize("missing", ["STREAMCLI_ACCOUNT", "STREAMCLI_PASSWORD"])
def test_half_an_account_is_refused(missing: str) -> None:
    with pytest.raises(Unusable, match="set both or none"):
        settle({"id": "tim"}, {**ENVIRONMENT, missing: ""}, Path("/nowhere"))


def test_a_password_among_the_settings_is_refused_and_not_repeated(file: Path) -> None:
    file.write_text(f"password = {json.dumps(ALICE.password)}\n")
    with pytest.raises(Unusable, match="unknown setting 'password'") as caught:
        login_of(file, {})
    assert hidden(str(caught.value))


def test_the_authorities_are_looked_at(tmp_path: Path) -> None:
    tls = {"STREAMCLI_URL": "tls://chat.example:9090"}
    good, other = Authority(tmp_path / "authority").file, tmp_path / "config.toml"
    other.write_text("no certificate")
    settled = settle({"id": "tim"}, {**tls, "STREAMCLI_CA": str(good)}, Path("/nowhere")).controller
    assert settled == Controller("chat.example", 9090, tls=True, ca=str(good))
    for path, why in ((other, "it contains no certificate"), (tmp_path / "none", "No such file")):
        with pytest.raises(Unusable, match=f"{path} can't be used: {why}"):
            settle({"id": "tim"}, {**tls, "STREAMCLI_CA": str(path)}, Path("/nowhere"))


@pytest.mark.parametrize("url", ["tcp://alice:secret@chat.example:9090", "tls://alice:secret@chat.example:9090"])
def test_an_account_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="does not belong in a URL") as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_tls_needs_a_name(host: str) -> None:
    with pytest.raises(UsageError, match="TLS needs the server's name"):
        parse_url(f"tls://{host}:9090")
    assert parse_url("tls://localhost:9090").url == "tls://localhost:9090"


# Where they go.


def test_nothing_that_is_printed_of_a_controller_holds_the_password() -> None:
    controller = Controller("chat.example", 9090, ALICE)
    assert hidden(f"{controller} {controller!r} {controller.url} {ALICE}")


@pytest.mark.parametrize("login", [ALICE, None, Login("other", "Other-1")], ids=str)
def test_the_library_s_texts_are_redacted_whoever_they_speak_of(login: Login | None) -> None:
    text = redacted(PANIC % header(ALICE), login)
    assert hidden(text)
    assert "getCurrentSegments" in text and "Unauthenticated" in text


def test_a_password_is_redacted_in_whatever_form() -> None:
    quoted = json.dumps(ALICE.password, ensure_ascii=False)
    text = f"{ALICE.password} {quoted} {quoted!a} {header(ALICE).rstrip('=')} token eyJhb.eyJzd.Wsig"
    assert hidden(redacted(text, ALICE))
    assert "eyJzd" not in redacted(text, None)


def test_what_a_worker_says_on_standard_error_is_redacted_on_its_way_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    log = tmp_path / "log"
    # A line too long to be read at once, in which the password would be cut in two, and one that breaks off in it.
    long = "x" * ((1 << 16) - 10) + f"{ALICE.password} Basic {header(ALICE)}\n"
    text = PANIC % header(ALICE) + long + f"the end\n{ALICE.password[:-1]}"

    async def main() -> None:
        ended = asyncio.Event()
        with log.open("ab", buffering=0) as file:
            request = FakeRequest("complain", text)
            controller = Controller("chat.example", 1, ALICE)
            events = WorkerEvents(lambda received: None, ended.set)
            WorkerProcess("tests.fake_worker", controller, request, file, events)
            await asyncio.wait_for(ended.wait(), 20)

    asyncio.run(main())
    said = log.read_text()
    assert "panicked" in said and said.endswith("\nthe end\n")
    assert hidden(said) and ALICE.password[:9] not in said


FAILING = """
from streamcli.log.wheel.worker import run
from tests.fake_worker import FakeRequest
def work(request, controller, output):
    raise ValueError(request.text)
run(FakeRequest, work)
"""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PANIC.splitlines()[1] % header(ALICE), "password"),
        (f"no idea what to do with {ALICE.password} and Basic {header(ALICE)}", "other"),
    ],
    ids=["real", "made up"],
)
def test_what_a_worker_fails_of_is_redacted_before_it_leaves_it(text: str, kind: str) -> None:
    login = {"user": ALICE.user, "password": ALICE.password}
    fields = {"host": "chat.example", "port": 1, "login": login, "tls": False, "ca": None}
    with subprocess.Popen([sys.executable, "-c", FAILING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        said, _ = worker.communicate(
            pack_json(Frame.START, parent=os.getpid(), controller=fields, request={"do": "fail", "text": text}),
            timeout=20,
        )
    (frame,) = Splitter().feed(said)
    assert frame[0] is Frame.FAILED
    assert unpack_json(frame[1])["kind"] == kind
    assert hidden(frame[1].decode()) and hidden(unpack_json(frame[1])["text"])
