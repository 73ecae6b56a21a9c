"""Runs the tests on each CPython from 3.10 to 3.14 that is found, one after the other, and prints one table.

    python tools/pythons.py [ARGUMENTS OF PYTEST]

Looked for: python3.X on the PATH, the Pythons that uv has installed, and those of pyenv. Each gets a virtual
environment of its own from the same lock file, in build/pythons/, which is kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "pythons"
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
_ASK = "import platform; print(platform.python_implementation(), platform.python_version())"
_COUNTED = ("tests", "failures", "errors", "skipped")


@dataclass(frozen=True)
class Outcome:
    """What came of one Python; without counts the tests did not get to their end."""

    python: str
    code: int
    seconds: float
    counts: dict[str, int] | None = None

    def row(self) -> str:
        """A line of the table."""
        if self.counts is None:
            return f"{self.python:<10}{f'no result, exit code {self.code}':>26}{self.seconds:>9.0f}"
        failed = self.counts["failures"] + self.counts["errors"]
        passed = self.counts["tests"] - failed - self.counts["skipped"]
        return f"{self.python:<10}{passed:>8}{failed:>8}{self.counts['skipped']:>10}{self.seconds:>9.0f}"


def candidates(version: str) -> Iterator[str]:
    """Paths at which this version may be."""
    name = f"python{version}"
    if found := shutil.which(name):
        yield found
    if uv := shutil.which("uv"):
        command = [uv, "python", "find", "--managed-python", "--no-python-downloads", "--system", version]
        asked = subprocess.run(command, cwd="/", capture_output=True, text=True)
        yield from asked.stdout.splitlines()[:1]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), reverse=True))


def find(version: str) -> tuple[str, str] | None:
    """The path and the full version of a CPython; None if none is found."""
    for path in candidates(version):
        asked = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, text=True)
        implementation, _, full = asked.stdout.strip().partition(" ")
        if asked.returncode == 0 and implementation == "CPython" and full.startswith(f"{version}."):
            return path, full
    return None


def run(path: str, version: str, full: str, arguments: list[str]) -> Outcome:
    """Run the tests on one Python, which say to the terminal what they always say."""
    print(f"\n=== Python {full}: {path}", flush=True)
    begun, venv, report = time.monotonic(), FOLDER / version, FOLDER / f"{version}.xml"
    environment = {**os.environ, "PYTHON": path}
    make = [path, "-I", str(ROOT / "tools" / "make_venv.py"), "--dev", "--venv", str(venv)]
    if code := subprocess.run(make, cwd=ROOT, env=environment).returncode:
        return Outcome(full, code, time.monotonic() - begun)
    report.unlink(missing_ok=True)
    begun = time.monotonic()
    tests = [str(venv / "bin" / "python"), "-m", "pytest", f"--junit-xml={report}", *arguments]
    code = subprocess.run(tests, cwd=ROOT).returncode
    seconds = time.monotonic() - begun
    if not report.exists():
        return Outcome(full, code, seconds)
    suite = next(ElementTree.parse(report).iter("testsuite"))
    return Outcome(full, code, seconds, {name: int(suite.get(name, 0)) for name in _COUNTED})


def main(arguments: list[str]) -> int:
    """Run the tests everywhere; 1 if anything failed anywhere."""
    outcomes, missing = [], []
    for version in VERSIONS:
        if found := find(version):
            outcomes.append(run(found[0], version, found[1], arguments))
        else:
            missing.append(version)
    print(f"\n{'Python':<10}{'passed':>8}{'failed':>8}{'skipped':>10}{'seconds':>9}")
    for outcome in outcomes:
        print(outcome.row())
    if missing:
        print(f"not found: {', '.join(missing)}")
    return int(any(outcome.code for outcome in outcomes) or not outcomes)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
