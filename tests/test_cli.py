"""The command line as a person meets it: every error one clear line and its exit code, never a traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcli import __version__
from tests.conftest import People
from tests.environment import STREAMCLI, make_home
from tests.terminal import Terminal


class Ran:
    """What a run of the command said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


def run(home: Path, *arguments: str, **environment: str) -> Ran:
    done = subprocess.run(
        [*STREAMCLI, *arguments],
        env={**make_home(home), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port on which nobody listens: it is bound, but not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_version_and_help(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").out == f"streamcli {__version__}\n"
    shown = run(tmp_path, "--help")
    assert shown.code == 0
    assert "streamcli [<url>] [<id>]" in shown.out


BAD_LINES = [
    (["tcp://127.0.0.1:1", "tim", "--foo"], "--foo"),
    (["tcp://127.0.0.1:1", "tim", "more"], "more"),
    (["sevrer", "start"], "streamcli server start"),
    (["server"], "streamcli server start"),
    (["tail", "foo"], "Wrong arguments for tail. Usage: streamcli tail"),
    (["tcp://127.0.0.1:1", "x", "--url", "tcp://127.0.0.1:2"], "differ"),
    (["127.0.0.1:9090", "tim"], "tcp://127.0.0.1:9090"),
    (["http://127.0.0.1:9090", "tim"], "http"),
    (["tls://127.0.0.1:9090", "tim"], "TLS"),
    (["tcp://tim:secret@127.0.0.1:9090", "tim"], "does not belong in a URL"),
    (["tcp://127.0.0.1", "tim"], "port"),
    (["tcp://127.0.0.1:99999", "tim"], "port"),
    (["tcp://127.0.0.1:9090/path", "tim"], "nothing else"),
    (["tcp://127.0.0.1:1", ""], "id is empty"),
    (["tcp://127.0.0.1:1", "x" * 65], "too long"),
    (["tcp://127.0.0.1:1", "a\x1b[31mb"], "U+001B"),
    (["tcp://127.0.0.1:1", "tim", "--room", "two words"], "room"),
    (["tcp://127.0.0.1:1", "tim", "--scope", "a_b"], "scope"),
    (["tcp://127.0.0.1:1", "tim", "--stream", ""], "stream"),
    (["tcp://127.0.0.1:1", "tim", "--timeout", "soon"], "--timeout"),
    (["tcp://127.0.0.1:1", "tim", "--timeout", "-1"], "--timeout"),
    (["tail", "--last", "00000001999999999999"], "--last"),
    (["history", "--last", "0" * 10_000], "--last"),
    (["search", "--last", "9" * 10_000, "x"], "--last"),
    (["search", "-foo"], "-foo is not an option of search. Put text that begins with - after --: search -- -foo."),
    (["send", "hello", "--foo"], "send -- --foo"),
    (["search", "--last=3", "-f", "x"], "search -- -f"),
    (["tail", "-x"], "Unexpected argument: -x"),
    (["search", ""], "No words to search for"),
    (["search", "+++", ":-)"], "No words to search for in '+++ :-)'"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD_LINES, ids=lambda value: str(value)[-30:])
def test_a_bad_command_line_is_one_clear_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    shown = run(tmp_path, *arguments)
    assert shown.code == 64
    assert shown.err.startswith("streamcli: ")
    assert shown.err.count("\n") == 1
    assert says in shown.err
    assert "\x1b" not in shown.err


def test_the_environment_names_the_log_and_the_speaker(tmp_path: Path, people: People) -> None:
    env = {"STREAMCLI_URL": people.url, "STREAMCLI_ID": "from the environment", "STREAMCLI_STREAM": people.stream}
    done = subprocess.run(STREAMCLI, input=b"hi\n", env={**make_home(tmp_path), **env}, capture_output=True, timeout=60)
    assert done.stdout.decode().endswith("from the environment: hi\n"), done.stderr


def test_the_settings_file_is_read_and_the_options_beat_it(tmp_path: Path, people: People) -> None:
    make_home(tmp_path)
    file = tmp_path / ".config/streamcli/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'url = "{people.url}"\nid = "from the file"\nstream = "{people.stream}"\n')
    with Terminal([*STREAMCLI, "--id", "tim"], make_home(tmp_path)).connected() as tim:
        tim.see_typed("tim> ")
    file.write_text("url = 5\n")
    shown = run(tmp_path)
    assert (shown.code, shown.err.count("\n")) == (78, 1)
    file.write_text("url = \n")
    assert run(tmp_path).code == 78


def test_nobody_listening_is_said_and_gives_up_in_a_pipe(tmp_path: Path, free_port: int) -> None:
    done = subprocess.run(
        [*STREAMCLI, f"tcp://127.0.0.1:{free_port}", "tim", "--timeout", "1"],
        input="hello\n",
        env=make_home(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 69
    assert "nobody listens on that port" in done.stderr
    assert "hello" in done.stderr
    assert done.stdout == ""


def test_a_folder_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    shown = run(tmp_path, "tcp://127.0.0.1:1", "tim", XDG_STATE_HOME="/proc/nobody/writes/here")
    assert (shown.code, shown.err.count("\n")) == (73, 1)
    assert "/proc/nobody/writes/here" in shown.err


def test_a_file_where_a_folder_should_be_is_said(tmp_path: Path) -> None:
    make_home(tmp_path)
    (tmp_path / ".local").write_text("in the way")
    shown = run(tmp_path, "tcp://127.0.0.1:1", "tim")
    assert (shown.code, shown.err.count("\n")) == (73, 1)
    assert str(tmp_path / ".local") in shown.err


def test_a_full_disk_costs_the_typed_lines_but_not_the_chat(people: People) -> None:
    limited = ["bash", "-c", 'ulimit -f 0; exec "$@"', "bash", *STREAMCLI, people.url, "tim"]
    with Terminal(limited, people.env("tim"), columns=300).connected() as tim:
        tim.enter("hello")
        tim.see("tim: hello")
        tim.see("The input history is not saved")
        tim.see("What you type is sent, but lost if")
        tim.see("Nothing more is kept in the history until the next start")
        tim.enter("again")
        tim.see("tim: again")
        for words in ("input history is not saved", "What you type is sent", "Nothing more is kept"):
            assert tim.count(words) == 1


def test_names_with_blanks_accents_and_underscores_can_chat(people: People) -> None:
    with Terminal([*STREAMCLI, people.url, "Zoë_van den Berg"], people.env("zoe")).connected() as zoe:
        zoe.enter("hallo")
        zoe.see("Zoë_van den Berg: hallo")


def test_verbose_lines_do_not_cross_the_prompt(people: People) -> None:
    tim = people.joins("tim", "--verbose")
    tim.see("supervisor: connected")
    tim.type("typed")
    tim.see_typed("tim> typed")


def test_a_module_in_the_current_folder_is_not_imported_by_accident(people: People, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')\n")
    command = [str(Path(sys.executable).parent / "streamcli"), people.url, "tim"]
    with Terminal(command, people.env("tim"), cwd=str(tmp_path)).connected() as tim:
        tim.enter("hello")
        tim.see("tim: hello")


def test_an_output_that_is_full_is_said(tmp_path: Path) -> None:
    for arguments in (["--help"], ["server", "status"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [*STREAMCLI, *arguments],
                env=make_home(tmp_path),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
            )
        assert done.returncode == 74
        assert "The disk is full" in done.stderr
        assert "Traceback" not in done.stderr
