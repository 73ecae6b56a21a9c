"""The house itself: sizes, words that must not be committed, and the check of the platform."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import streamcli

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "streamcli").rglob("*.py"))

# These alone read a clock, draw randomness or sleep themselves; CONTRIBUTING.md says why.
READERS = {"system/clock.py", "server/credentials.py", "server/jvm.py"}
READING = re.compile(
    r"(time|random|secrets|uuid)\.\w+|datetime\.(datetime\.(now|utcnow|today)|date\.today)|os\.(urandom|getrandom)"
    r"|streamcli\.system\.clock\.SYSTEM\.\w+"
)

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60

# Put together from pieces, so that this file doesn't hold what it looks for.
HOSTS = ["pypi" + ".org", "python" + "hosted.org", "repo1.mav" + "en.org", "repo.mav" + "en.apache.org"]
PLACES = [f"/{name}/" for name in ("work", "root", "tmp/try")]
UNWANTED = re.compile("|".join([*map(re.escape, HOSTS), *(rf"(?<![\w./-]){re.escape(place)}" for place in PLACES)]))


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


make_venv: Any = loaded(ROOT / "tools" / "make_venv.py")


def machine(
    *,
    implementation: str = "CPython",
    version: tuple[int, int] = (3, 11),
    system: str = "Linux",
    machine: str = "x86_64",
    libc: str = "glibc 2.36",
) -> Any:
    return make_venv.Machine(implementation, version, system, machine, libc)


def committed() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_small_and_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    }
    assert len(text.splitlines()) <= MOST_LINES
    assert not {name: lines for name, lines in long.items() if lines > MOST_LINES_OF_A_FUNCTION}
    assert ast.get_docstring(tree), "a module begins with a docstring"


def read_directly(source: str) -> list[str]:
    """The calls in ``source`` that read a clock or randomness not passed in, by line."""
    tree = ast.parse(source)
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {one.asname: one.name for one in node.names if one.asname}
            imported |= {first: first for one in node.names if not one.asname for first in one.name.split(".")[:1]}
        elif isinstance(node, ast.ImportFrom):
            imported |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    parts = [(call.lineno, *ast.unparse(call.func).partition(".")) for call in calls]
    names = [(line, f"{imported.get(first, '')}{dot}{rest}") for line, first, dot, rest in parts]
    return [f"{line}: {name}" for line, name in names if READING.fullmatch(name)]


def test_clocks_and_randomness_are_passed_in_except_where_contributing_says_so() -> None:
    found = {
        str(path.relative_to(ROOT / "streamcli")): reads
        for path in MODULES
        if (reads := read_directly(path.read_text("utf-8")))
    }
    assert {path: reads for path, reads in found.items() if path not in READERS} == {}
    assert found.keys() == READERS, "who no longer needs to be an exception is none"
    rules = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert [path for path in READERS if f"`streamcli/{path}`" not in rules] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.monotonic()", ["2: time.monotonic"]),
        ("import time as t\ndef f():\n    return [t.sleep(1)]", ["3: time.sleep"]),
        ("from time import time_ns as now\nnow()", ["2: time.time_ns"]),
        ("from datetime import datetime\ndatetime.now(None)", ["2: datetime.datetime.now"]),
        ("import datetime as d\nd.date.today()", ["2: datetime.date.today"]),
        ("import os.path, uuid\nos.urandom(8)\nuuid.uuid4()", ["2: os.urandom", "3: uuid.uuid4"]),
        ("from streamcli.system.clock import SYSTEM\nSYSTEM.now()", ["2: streamcli.system.clock.SYSTEM.now"]),
        ("from streamcli.system import clock\nclock.SYSTEM.today()", ["2: streamcli.system.clock.SYSTEM.today"]),
        ("import time\ndef f(now=time.monotonic):\n    return now()", []),
        ("from datetime import datetime\ndef f(time: datetime):\n    return time.astimezone()", []),
    ],
)
def test_a_direct_look_at_a_clock_would_be_found(source: str, found: list[str]) -> None:
    assert read_directly(source) == found


def test_no_file_names_a_package_registry_or_a_folder_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in committed()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if UNWANTED.search(line)
    ]
    assert found == []


def test_the_words_looked_for_would_be_found() -> None:
    for word in [*HOSTS, *PLACES]:
        assert UNWANTED.search(f'url = "{word}simple"')


@pytest.mark.parametrize("name", ["requirements-guest.txt", "requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_a_hash_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    pins = re.findall(r"^[a-z].*?(?=^[a-z]|\Z)", text, re.DOTALL | re.MULTILINE)
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    assert "://" not in text
    assert re.search(r"^setuptools==", text, re.MULTILINE), "the build backend is pinned as well"


def test_what_runs_is_pinned_the_same_for_those_who_develop() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z][^\\#\n]*", (ROOT / name).read_text("utf-8"), re.MULTILINE))

    assert pins("requirements-guest.txt") <= pins("requirements.txt") <= pins("requirements-dev.txt")


def test_the_changelog_names_this_version() -> None:
    assert f"## [{streamcli.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize(
    "good",
    [
        machine(),
        machine(version=(3, 10)),
        machine(version=(3, 12)),
        machine(version=(3, 14)),
        machine(libc="glibc 2.31"),
        machine(machine="aarch64"),
        machine(system="Darwin", libc=""),
        machine(system="Darwin", machine="arm64", libc=""),
    ],
    ids=str,
)
def test_a_supported_machine_has_no_trouble(good: Any) -> None:
    assert make_venv.trouble(good) is None


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (machine(version=(3, 15)), ["CPython 3.15 on Linux x86_64", "uv python install 3.11", "PYTHON="]),
        (machine(version=(3, 9)), ["CPython 3.9", "uv python install 3.11"]),
        (machine(implementation="PyPy"), ["PyPy 3.11", "uv python install 3.11"]),
        (machine(implementation="free-threaded CPython"), ["free-threaded CPython 3.11", "uv python install 3.11"]),
        (machine(machine="riscv64"), ["Linux riscv64", "docker run", "--platform linux/amd64"]),
        (machine(machine="32-bit"), ["Linux 32-bit", "docker run"]),
        (machine(libc=""), ["musl", "docker run"]),
        (machine(machine="aarch64", libc=""), ["Linux aarch64 with musl", "docker run"]),
        (machine(libc="glibc 2.28"), ["glibc 2.28", "docker run"]),
        (machine(version=(3, 12), libc=""), ["musl", "docker run"]),
        (machine(system="Darwin", version=(3, 9), libc=""), ["CPython 3.9 on Darwin x86_64", "uv python install"]),
        (machine(system="Windows", machine="AMD64", libc=""), ["Windows", "WSL 2"]),
    ],
    ids=str,
)
def test_elsewhere_one_line_names_what_is_supported_and_a_way(bad: Any, words: list[str]) -> None:
    line = make_venv.trouble(bad)
    assert "\n" not in line
    for word in ["CPython 3.10 to 3.14", "x86_64 or arm64, glibc 2.31+", "macOS", *words]:
        assert word in line


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    known = ["{}.{}".format(*version) for version in make_venv.SUPPORTED]
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert re.findall(r"Python :: (3\.\d+)", project) == known
    assert re.search(r"^NAMES = python3 (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1].split() == [  # type: ignore[index]
        f"python{version}" for version in reversed(known)
    ]
    assert known == list(loaded(ROOT / "tools" / "pythons.py").VERSIONS)
    assert known == ["{}.{}".format(*version) for version in loaded(ROOT / "tools" / "wheels.py").PYTHONS]


def test_the_tests_run_on_a_supported_machine() -> None:
    asked = subprocess.run([sys.executable, "-I", str(ROOT / "tools" / "make_venv.py"), "--supported"])
    assert asked.returncode == 0
    assert make_venv.trouble(make_venv.this_machine()) is None


def test_make_help_lists_the_targets() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"chat", "test", "check", "lock", "clean"} <= {line.split()[1] for line in shown.splitlines()}
