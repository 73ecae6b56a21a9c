"""A virtual environment as a guest has it: streamcli from its lock file, without the extra that speaks to Pravega."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-guest.txt"
_COPIED = ("pyproject.toml", "README.md", "LICENSE")
_NO_INDEX = re.compile("NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|ConnectionError")


def make_guest(folder: Path) -> list[str]:
    """Make the environment in ``folder``, and return the command that runs the program from it.

    Skips the test if the package index can't be reached, unless CI is set.
    """
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    _run(base, "-I", "-m", "venv", str(folder / "venv"))
    python = str(folder / "venv" / "bin" / "python")
    pip = (python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "--retries", "2", "install", "-q")
    _run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK))
    source = folder / "source"
    shutil.copytree(ROOT / "streamcli", source / "streamcli", ignore=shutil.ignore_patterns("__pycache__"))
    for name in _COPIED:
        shutil.copy(ROOT / name, source / name)
    _run(*pip, "--no-deps", "--no-build-isolation", "--no-index", str(source))
    return [str(folder / "venv" / "bin" / "streamcli")]


def _run(*command: str) -> None:
    env = {name: text for name, text in os.environ.items() if name not in ("PIP_TARGET", "PIP_PREFIX", "PYTHONHOME")}
    done = subprocess.run(command, cwd="/", env=env | {"PIP_USER": "0"}, capture_output=True, text=True, timeout=300)
    if done.returncode and _NO_INDEX.search(done.stdout + done.stderr) and not os.environ.get("CI"):
        pytest.skip("the package index can't be reached")
    assert done.returncode == 0, done.stdout + done.stderr
