"""Starting in strange surroundings: no home, a folder that is gone, -OO, odd settings, files that can't be used."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from streamcli.model.numbers import whole
from streamcli.system.log_file import MAX_BYTES
from streamcli.ui.input_history import KEPT_LINES, InputHistory, LoadedHistory
from tests.conftest import People, eventually
from tests.environment import STREAMCLI, make_home
from tests.raw import Raw
from tests.terminal import Terminal

NOBODY = "tcp://127.0.0.1:1"


def run(env: dict[str, str], *arguments: str, before: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a shell, ``before`` which something is done to the surroundings."""
    script = f'{before}\nexec "$@"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *STREAMCLI, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done


def one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_everything_works_with_python_oo(tmp_path: Path, people: People) -> None:
    env = {**people.env("tim"), "PYTHONOPTIMIZE": "2"}
    assert run(env, "--version").stdout.startswith("streamcli ")
    assert "Usage:" in run(env, "--help").stdout
    one_line(run(env, "server"), 64, "streamcli server start")
    assert run(env, "send", "--url", people.url, "hello").returncode == 0
    assert run(env, "tail", "--url", people.url, "--no-follow").stdout.endswith(": hello\n")
    assert run(env, "history", "--url", people.url).stdout.endswith(": hello\n")
    assert "ok" in run(env, "doctor", "--url", people.url).stdout


@pytest.mark.parametrize(
    ("home", "code"),
    [({}, 78), ({"HOME": ""}, 78), ({"HOME": "somewhere"}, 78), ({"HOME": "/proc/nothing"}, 73)],
)
def test_without_a_home_one_line_says_so(tmp_path: Path, home: dict[str, str], code: int) -> None:
    env = {key: value for key, value in make_home(tmp_path).items() if key not in ("HOME", "XDG_CACHE_HOME")}
    # A user that the system does not know has no home either; 54321 is nobody's number.
    unknown = "import os; os.getuid = lambda: 54321; from streamcli.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", unknown, "send", "--url", NOBODY, "--id", "tim", "--timeout", "1", "hello"],
        env=env | home,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    one_line(done, code, "home" if code == 78 else "/proc/nothing")
    assert not (tmp_path / "~").exists() and not Path("/.local").exists()


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    before = f"mkdir -p '{gone}'; cd '{gone}'; rmdir '{gone}'"
    env = make_home(tmp_path)
    shown = run({**env, "STREAMCLI_CA": "rel.pem"}, "send", "--url", "tls://h:1", "x", before=before)
    one_line(shown, 73, "The current folder no longer exists")
    assert "program" in run(env, "doctor", "--url", NOBODY, "--timeout", "1", before=before).stdout
    one_line(run(env, "send", "--url", NOBODY, "--timeout", "1", "x", before=before), 69, "nobody listens")


def test_settings_are_read_with_a_byte_order_mark_and_errors_name_their_place(tmp_path: Path) -> None:
    env = make_home(tmp_path)
    file = tmp_path / ".config/streamcli/config.toml"
    file.parent.mkdir(parents=True)
    send = ["send", "--timeout", "1", "hello"]
    for text, *words in (
        ('id = ""', "Check id in", str(file), "The id is empty"),
        ('room = "two words"', "Check room in", str(file), "one word"),
        ("room = 5", "the value of room must be a string"),
        ('nickname = "x"', "unknown setting 'nickname'"),
        ('"\\u001b[31m" = "x"', r"unknown setting '\x1b[31m'"),
        ("id = " + "[" * 5000, "not valid TOML"),
        ('login_file = "a\\u0000b"', "Check login_file in", "NUL character"),
        ('login_file = ""', "Check login_file in", str(file), "The path is empty"),
        ('login_file = "~nobody-here/x"', "Check login_file in", "is unknown: write the full path"),
        ('url = "nonsense"', "Check url in", str(file)),
    ):
        file.write_text(f"\ufeff{text}\n", "utf-8")
        one_line(run(env, *send, "--url", NOBODY) if "url" not in text else run(env, *send), 78, *words)
    file.write_text(f'\ufeffurl = "{NOBODY}"\n', "utf-8")
    one_line(run(env, *send), 69, "nobody listens")
    one_line(run({**env, "STREAMCLI_ROOM": "two words"}, *send), 78, "Check the variable STREAMCLI_ROOM")
    nobody = {"STREAMCLI_LOGIN_FILE": "~nobody-here/x"}
    one_line(run(env | nobody, *send), 78, "Check the variable STREAMCLI_LOGIN_FILE", "is unknown: write the full path")


def test_a_named_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    env = make_home(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    ca = {"STREAMCLI_CA": str(pipe)}
    one_line(run(env | ca, "send", "--url", "tls://localhost:1", "x"), 78, str(pipe), "it is a pipe")
    login = {"STREAMCLI_LOGIN_FILE": str(pipe)}
    one_line(run(env | login, "send", "--url", NOBODY, "x"), 78, str(pipe), "must contain exactly url")
    file = tmp_path / ".config/streamcli/config.toml"
    file.parent.mkdir(parents=True)
    pipe.rename(file)
    one_line(run(env, "send", "--url", NOBODY, "--timeout", "1", "x"), 69, "nobody listens")
    file.unlink()
    file.mkdir()
    one_line(run(env, "send", "--url", NOBODY, "x"), 78, f"settings in {file} can't be read: Is a directory.")
    file.rmdir()
    login_file = tmp_path / "login.toml"
    login_file.touch(0o600)
    login_file.write_text('url = "http://secret"\naccount = "a"\npassword = "b"\n')
    shown = run(env | {"STREAMCLI_LOGIN_FILE": str(login_file)}, "send", "--url", NOBODY, "x")
    one_line(shown, 78, str(login_file), "its url must be a controller's")
    assert "secret" not in shown.stderr


LOADING = """
import os, signal, sys
from streamcli import __main__

class Interrupts:
    def find_spec(self, name, *more):
        if name == "streamcli.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
__main__.main()
"""


def test_ctrl_c_while_the_program_is_loaded_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "streamcli: Interrupted.\n")


def test_a_locale_that_knows_no_letters_sends_them_all_the_same(people: People, raw: Raw) -> None:
    env = people.env("tim") | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    with Terminal([*STREAMCLI, people.url, "tim"], env) as tim:
        tim.connected()
        tim.enter("ñandú ٣ x")
        eventually(lambda: [message["message"] for message in raw.messages()] == ["ñandú ٣ x"])


@pytest.mark.parametrize("option", ["--id", "--room", "--scope", "--stream", "--url", "--timeout"])
def test_an_empty_value_is_a_usage_error(tmp_path: Path, option: str) -> None:
    url = [] if option == "--url" else ["--url", NOBODY]
    one_line(run(make_home(tmp_path), "send", *url, option, "", "hello"), 64)
    assert run(make_home(tmp_path), "tail", *url, "--last", "").returncode == 64
    assert run(make_home(tmp_path), "").returncode == 64


def test_numbers_are_read_whole() -> None:
    assert whole("0000000000020", 1000) == 20
    for text in ("00000001999999999999", "0", "", "-1", "1.0", "²", "9" * 5000, "1001", "0000"):
        assert whole(text, 1000) is None, text


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_the_exit_code_holds_where_errors_can_not_be_written(tmp_path: Path, redirection: str) -> None:
    env = make_home(tmp_path)
    for arguments, code in (
        (["--bogus"], 64),
        (["send", "--url", NOBODY, "--timeout", "1", "x"], 69),
        (["send", "--verbose", "--url", NOBODY, "--timeout", "1", "x"], 69),
        (["tail", "--url", NOBODY, "--timeout", "1"], 69),
        (["search", "--url", NOBODY, "--timeout", "1", "x"], 69),
        (["server", "status"], 3),
    ):
        assert run(env, *arguments, before=f"exec {redirection}").returncode == code, arguments
    for option in ("--help", "--version"):
        assert run(env, option, before=f"exec {redirection} >/dev/full").returncode == 74


def test_every_folder_is_private_whatever_the_umask_and_older_ones_are_closed(people: People) -> None:
    env = {**people.env("tim"), "XDG_CACHE_HOME": str(people.folder / "cache")}
    home = Path(env["HOME"])
    old = home / ".local/share/streamcli"
    old.mkdir(parents=True)
    (home / ".local").chmod(0o755)
    old.chmod(0o777)
    assert run(env, "send", "--url", people.url, "hello", before="umask 000").returncode == 0
    assert run(env, "history", "--url", people.url, before="umask 000").returncode == 0
    folders = [path for path in (home / ".local").rglob("*") if path.is_dir()]
    assert len(folders) > 6
    assert [
        path for path in folders if stat.S_IMODE(path.stat().st_mode) & 0o077 and path != home / ".local/share"
    ] == []
    assert stat.S_IMODE((home / ".local").stat().st_mode) == 0o755, "it is not ours"
    files = [path for path in (home / ".local").rglob("*") if path.is_file()]
    assert [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_a_chat_goes_on_without_the_file_of_typed_lines(people: People) -> None:
    typed = Path(people.env("tim")["HOME"]) / ".local/state/streamcli/typed"
    typed.mkdir(parents=True)
    tim = people.joins("tim")
    tim.see("The input history is not saved")
    tim.enter("hello")
    tim.see("tim: hello")
    tim.type("\x1b[A")
    tim.see_typed("tim> hello")


@pytest.mark.parametrize("kind", ["pipe", "dangling link", "unreadable"])
def test_typed_lines_live_in_memory_where_their_file_can_not_be_used(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = tmp_path / "typed", list[str]()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "no folder" / "typed")
    else:

        def refuse(*arguments: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("streamcli.ui.input_history.os.open", refuse)
    history = InputHistory(path, said.append)
    history.append_string("hello")
    history.close()
    assert history.get_strings() == ["hello"]
    assert len(said) == 1 and said[0].startswith("The input history is not saved"), said


def test_lines_that_were_loaded_once_are_there_without_waiting_for_a_thread(tmp_path: Path) -> None:
    async def main() -> None:
        history = InputHistory(tmp_path / "typed", print)
        loaded = LoadedHistory(history)
        loaded.append_string("before")
        assert [line async for line in loaded.load()] == ["before"]
        loaded.append_string("just now")
        lines = loaded.load()
        with pytest.raises(StopIteration) as first:
            lines.asend(None).send(None)  # one step of the loop, in which no thread answers
        assert first.value.value == "just now"
        await lines.aclose()
        history.close()

    asyncio.run(main())


def test_only_so_many_lines_are_gone_through_after_each_enter(tmp_path: Path) -> None:
    async def main() -> None:
        history = InputHistory(tmp_path / "typed", print)
        for number in range(KEPT_LINES + 3):
            history.append_string(str(number))
        history.close()
        loaded = LoadedHistory(InputHistory(tmp_path / "typed", print))
        assert len([line async for line in loaded.load()]) == KEPT_LINES
        loaded.append_string("just now")
        lines = [line async for line in loaded.load()]
        assert (len(lines), lines[0], lines[-1]) == (KEPT_LINES, "just now", "4")

    asyncio.run(main())


LOGGER = """
import logging, sys
from streamcli.system import log_file
log_file.set_up(verbose=False)
for number in range(int(sys.argv[2])):
    logging.getLogger("streamcli").info("%s-%06d %s", sys.argv[1], number, "x" * 60)
"""


def test_three_programs_that_rotate_one_log_lose_nothing_of_it(tmp_path: Path) -> None:
    env = make_home(tmp_path)
    folder = tmp_path / ".local/state/streamcli/log"
    folder.mkdir(parents=True)
    (folder / "streamcli.log").write_text("an old line\n" * (MAX_BYTES // 12 - 1))
    count = 1500  # of each: together less than a file takes
    writers = [subprocess.Popen([sys.executable, "-c", LOGGER, name, str(count)], env=env) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = [line for path in sorted(folder.glob("streamcli.log*")) for line in path.read_text().splitlines()]
    for name in "abc":
        assert sum(f" {name}-" in line for line in lines) == count
    assert sum("an old line" in line for line in lines) == MAX_BYTES // 12 - 1
    assert [
        path for path in folder.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.suffix == ".log"
    ] == []
