"""ssh:// without a Pravega: what is asked of ssh, and what becomes of it, with a real sshd where one is installed."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from streamcli.config import settle
from streamcli.errors import NotPermitted, StreamcliError, Unreachable, Unusable, UsageError
from streamcli.model.address import Controller, Login, Stream, WantedClient
from streamcli.model.ssh_host import SshHost, parse_ssh
from streamcli.ssh import arguments, tunnel
from streamcli.ssh.access import Access, NoAccess, line, parse, remote_command
from streamcli.ssh.tunnel import Tunnel
from streamcli.storage.directories import address_key, place_of
from tests.conftest import eventually
from tests.environment import STREAMCLI, make_home
from tests.sshd import MISSING, NO_SSHD, Sshd

HOME = SshHost("home")
LOGIN = Login("streamcli", "a-secret-of-its-own")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("ssh://home", HOME),
        ("ssh://home/", HOME),
        ("ssh://tim@chat.example.org:2222", SshHost("chat.example.org", "tim", 2222)),
        ("ssh://192.168.1.20", SshHost("192.168.1.20")),
        ("ssh://tim@[fe80::1%eth0]:22", SshHost("fe80::1%eth0", "tim", 22)),
        ("ssh://My_Host", SshHost("My_Host")),
    ],
)
def test_a_host_is_taken_as_it_is_named(text: str, host: SshHost) -> None:
    assert parse_ssh(text) == host
    assert parse_ssh(host.key) == host
    assert address_key(host, Stream("s", "t")) == f"{text.rstrip('/')} s/t"
    assert place_of(address_key(host, Stream("s", "t"))) == f"{text.rstrip('/')}, s/t"


@pytest.mark.parametrize(
    "text",
    [
        "ssh://",
        "ssh://-oProxyCommand=evil",
        "ssh://-l@home",
        "ssh://tim:secret@home",
        "ssh://home:0",
        "ssh://home:99999",
        "ssh://home:",
        "ssh://home/path",
        "ssh://home scope",
        "ssh://home\n",
        "ssh://$(evil)",
        "ssh://home?x",
        "SSH://home",
    ],
)
def test_what_ssh_could_take_for_something_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_ssh(text)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_settings_name_a_host_and_leave_only_one_client(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('url = "ssh://home"\nid = "tim"\n')
    settings = settle({}, {}, file)
    assert (settings.controller, settings.client, settings.group_owner) == (HOME, WantedClient("java"), "tim")
    assert settle({}, {"STREAMCLI_URL": "ssh://tim@other"}, file).controller == SshHost("other", "tim")
    assert settle({"url": "ssh://x", "client": "java"}, {}, file).controller == SshHost("x")
    with pytest.raises(Unusable, match="The client wheel can't be used over ssh"):
        settle({}, {"STREAMCLI_CLIENT": "wheel"}, file)


@pytest.mark.parametrize(
    "said",
    [
        Access(9090, 6000),
        Access(9090, 6000, LOGIN),
        NoAccess("The embedded server is starting.", passing=True),
        NoAccess("It is stopped."),
    ],
    ids=str,
)
def test_what_is_said_is_understood(said: Access | NoAccess) -> None:
    assert parse(line(said).encode() + b"\n") == said


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Welcome!\n",
        b"[1]\n",
        b'{"streamcli": 2, "rpc": 9090, "segment_store": 6000}\n',
        b'{"streamcli": 1, "rpc": 0, "segment_store": 6000}\n',
        b'{"streamcli": 1, "rpc": "9090", "segment_store": 6000}\n',
        b'{"streamcli": 1, "rpc": 9090}\n',
        b"\xff\xfe\n",
        b"[" * 100_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_a_shell_prints_besides_is_passed_over(text: bytes) -> None:
    assert parse(text) is None


def test_words_of_the_other_machine_can_not_act_on_the_terminal() -> None:
    assert parse(line(NoAccess("red \x1b[31m\u202e x")).encode()) == NoAccess("red ?[31m? x")


def test_no_secret_is_given_to_ssh_and_nothing_can_be_taken_for_an_option() -> None:
    command = arguments.connection(SshHost("home", "tim", 22), "/tmp/a%b", remote_command(True, 10.0), True, 0.5)
    assert command[:2] == ["ssh", "-T"] and command[-3:-1] == ["--", "home"]
    assert {"ControlPath=/tmp/a%%b", "BatchMode=no", "ConnectTimeout=1", "ServerAliveInterval=5"} <= set(command)
    assert "BatchMode=yes" in arguments.connection(HOME, "/tmp/a", "", False, 10.0)
    assert "-N" not in command, "without a remote command each message would take 40 ms longer"
    assert remote_command(True, 10.0).endswith("exec streamcli server access --timeout 10'")
    assert remote_command(False, 10.0).endswith("exec streamcli server access --no-start'")


@pytest.mark.parametrize(
    ("code", "last", "words"),
    [
        (255, "ssh: connect to host home port 22: Connection refused", "ssh to home: connect to host home port 22: C"),
        (255, "root@home: Permission denied (publickey).", "ssh to home: root@home: Permission denied (publickey)"),
        (-15, "", "ssh to home: ended with code -15"),
        (127, "sh: 1: exec: streamcli: not found", "ssh finds no command streamcli on home: "),
        (78, "streamcli: The settings are not valid.", "home: The settings are not valid"),
    ],
)
def test_the_last_line_says_why_it_ended(code: int, last: str, words: str) -> None:
    assert arguments.ending(HOME, code, last).startswith(words)
    assert arguments.denied(code, last) == ("Permission" in last)


def test_the_password_is_not_shown_on_a_terminal(tmp_path: Path) -> None:
    master, terminal = os.openpty()
    done = subprocess.run(
        [*STREAMCLI, "server", "access", "--no-start"],
        env=make_home(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(terminal)
    os.close(master)
    assert done.returncode == 64 and "refuses a terminal" in done.stderr


def test_access_says_that_there_is_no_server_and_ends_with_its_input(tmp_path: Path) -> None:
    done = subprocess.run(
        [*STREAMCLI, "server", "access", "--no-start"],
        env=make_home(tmp_path),
        input=b"",
        capture_output=True,
        timeout=60,
    )
    said = parse(done.stdout)
    assert isinstance(said, NoAccess) and "`streamcli server start` starts it" in said.words
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_ssh_one_line_says_so(tmp_path: Path) -> None:
    env = make_home(tmp_path) | {"PATH": str(tmp_path)}
    done = run(env, "send", "--url", "ssh://home", "x")
    assert done.returncode == 78 and "needs the program ssh" in done.stderr


# With a real sshd, and a program in place of streamcli there that says what a file says.

SAYING = f"""#!{sys.executable}
import os, pathlib, select, sys
said = None
while True:
    text = pathlib.Path({{file!r}}).read_text()
    if text != said:
        print("Welcome!", text, sep="\\n", flush=True)
        said = text
    if select.select([0], [], [], 0.02)[0] and not os.read(0, 1):
        break
"""


class There:
    """The other machine: its sshd, what its streamcli says, and a server that echoes in capitals at each port."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self._folder = folder / "there"
        self._folder.mkdir()
        self._said, self._servers = self._folder / "said", list[socket.socket]()
        program = self._folder / "bin" / "streamcli"
        program.parent.mkdir()
        program.write_text(SAYING.format(file=str(self._said)))
        program.chmod(0o755)
        self.sshd = Sshd(folder / "sshd", make_home(folder / "home"), path=str(program.parent), more=more)
        self.ports = (self.serve(), self.serve())
        self.says(Access(*self.ports, LOGIN))

    def says(self, what: Access | NoAccess) -> None:
        fresh = self._said.with_suffix(".new")
        fresh.write_text(line(what))
        fresh.replace(self._said)

    def serve(self) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        self._servers.append(server)
        threading.Thread(target=self._answer, args=(server,), daemon=True).start()
        return int(server.getsockname()[1])

    def _answer(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(str(server.getsockname()[1]).encode())

    def close(self) -> None:
        self.sshd.stop()
        for server in self._servers:
            server.close()


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[There]:
    there = There(tmp_path)
    there.sshd.start()
    monkeypatch.setenv("PATH", there.sshd.env(os.environ)["PATH"])
    monkeypatch.setattr(tunnel, "PAUSES", (0.0, 0.05))
    yield there
    there.close()


def leads_to(port: int | None) -> int:
    """The port of the server to which this local one leads."""
    assert port
    with socket.create_connection(("127.0.0.1", port), 5) as one:
        return int(one.makefile().read())


@contextlib.contextmanager
def opened(host: SshHost = HOME, patient: bool = False) -> Iterator[Tunnel]:
    with Tunnel(host, False, 10.0, lambda text: None) as entered:
        entered.open(asks=False, patient=patient)
        yield entered


def the_ssh() -> psutil.Process:
    """The one connection of this test."""
    (found,) = [child for child in psutil.Process().children() if child.name() == "ssh"]
    return found


def why(entered: Tunnel) -> str:
    """Why the server is not reached; "" if it is."""
    try:
        entered.locate()
    except Unreachable as error:
        return str(error)
    return ""


needs_sshd = pytest.mark.skipif(MISSING, reason=NO_SSHD)


@pytest.mark.slow
@needs_sshd
def test_two_local_ports_lead_to_the_server_and_ssh_ends_with_the_tunnel(there: There) -> None:
    with opened() as entered:
        reached = entered.locate()
        assert (reached.host, reached.login) == ("127.0.0.1", LOGIN)
        assert (leads_to(reached.port), leads_to(reached.store_port)) == there.ports
        assert LOGIN.password not in " ".join(the_ssh().cmdline()) + str(the_ssh().environ())
        process = the_ssh()
    eventually(lambda: not process.is_running(), 5)
    with pytest.raises(ConnectionError):
        leads_to(reached.port)


@pytest.mark.slow
@needs_sshd
def test_a_dead_ssh_is_replaced_and_a_server_on_other_ports_is_followed(there: There) -> None:
    with opened() as entered:
        before = entered.locate()
        the_ssh().kill()
        eventually(lambda: not_before(entered, before))
        assert leads_to(entered.locate().port) == there.ports[0]
        there.says(NoAccess("The embedded server was stopped on purpose."))
        eventually(lambda: why(entered) == "home: The embedded server was stopped on purpose.")
        moved = (there.serve(), there.serve())
        there.says(Access(*moved, LOGIN))
        eventually(lambda: why(entered) == "")
        reached = entered.locate()
        assert (leads_to(reached.port), leads_to(reached.store_port)) == moved


@pytest.mark.slow
@needs_sshd
def test_while_the_host_is_away_its_last_line_is_known_and_it_is_tried_again(there: There) -> None:
    with opened() as entered:
        there.sshd.stop()
        the_ssh().kill()
        eventually(lambda: "Connection refused" in why(entered))
        assert why(entered).startswith("ssh to home: connect to host 127.0.0.1 port ")
        there.sshd.start()
        eventually(lambda: why(entered) == "")
        assert leads_to(entered.locate().port) == there.ports[0]


@pytest.mark.slow
@needs_sshd
def test_a_network_that_is_dead_is_noticed(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "_OPTIONS", arguments._OPTIONS | {"ServerAliveInterval": "1"})
    with opened() as entered:
        before = entered.locate()
        with there.sshd.sessions_stopped():
            eventually(lambda: not_before(entered, before))


def not_before(entered: Tunnel, before: Controller) -> bool:
    """Whether a new connection leads to the server."""
    return why(entered) == "" and entered.locate() != before


@pytest.mark.slow
@needs_sshd
def test_whoever_starts_the_server_is_waited_for(there: There) -> None:
    there.says(NoAccess("The embedded server is starting.", passing=True))
    with opened(patient=True) as entered:
        assert why(entered) == "home: The embedded server is starting."
    timer = threading.Timer(0.5, there.says, [Access(*there.ports, LOGIN)])
    timer.start()
    with opened() as entered:
        assert why(entered) == ""
    timer.join()


@pytest.mark.slow
@needs_sshd
@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ("AllowTcpForwarding no\n", "", "administratively prohibited"),
        ("AuthorizedKeysFile none\n", NotPermitted, "Permission denied (publickey); to be asked for a password"),
        ("ForceCommand echo 'streamcli: Something is missing.' >&2; exit 78\n", Unreachable, "home: Something is m"),
        ("ForceCommand exec nowhere\n", Unreachable, "ssh finds no command streamcli on home"),
        ("ForceCommand exit 0\n", Unreachable, "ssh to home: ended with code 0"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_wrong_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, error: type[StreamcliError] | str, words: str
) -> None:
    there = There(tmp_path, more=said)
    there.sshd.start()
    monkeypatch.setenv("PATH", there.sshd.env(os.environ)["PATH"])
    try:
        if isinstance(error, str):
            with opened() as entered:
                with contextlib.suppress(OSError, ValueError):
                    leads_to(entered.locate().port)
                eventually(lambda: words in why(entered))
            return
        with pytest.raises(error) as caught, opened():
            pass
        assert words in str(caught.value) and str(caught.value).endswith(".")
    finally:
        there.close()


def run(env: dict[str, str], *command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program without a terminal."""
    done = subprocess.run(
        [*STREAMCLI, *command], env=env, input=typed, capture_output=True, text=True, timeout=60, start_new_session=True
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.slow
@needs_sshd
def test_a_host_that_never_answers_is_given_up_without_a_terminal(tmp_path: Path) -> None:
    sshd = Sshd(tmp_path / "sshd", make_home(tmp_path / "home"))
    env = sshd.env(make_home(tmp_path / "away"))
    with socket.create_server(("127.0.0.1", sshd.port)):
        begun = time.monotonic()
        done = run(env, "send", "--url", "ssh://home", "--timeout", "2", "hello")
        assert 1.5 < time.monotonic() - begun < 20
    assert done.returncode == 69
    assert done.stderr.endswith("0 messages are in the log.\n") and "ssh to home" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
@needs_sshd
def test_a_key_with_a_passphrase_is_not_waited_for_without_a_terminal(tmp_path: Path) -> None:
    with Sshd(tmp_path / "sshd", make_home(tmp_path / "home"), passphrase="open sesame") as sshd:
        env = sshd.env(make_home(tmp_path / "away"))
        done = run(env, "tail", "--url", "ssh://home", "--no-follow")
    assert done.returncode == 77
    assert "Permission denied (publickey)" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
@needs_sshd
def test_an_unknown_host_key_is_never_accepted_unseen(tmp_path: Path) -> None:
    with Sshd(tmp_path / "sshd", make_home(tmp_path / "home")) as sshd:
        (sshd.folder / "known_hosts").write_text("")
        done = run(sshd.env(make_home(tmp_path / "away")), "send", "--url", "ssh://home", "hello")
    assert done.returncode == 69
    assert "Host key verification failed" in done.stderr
