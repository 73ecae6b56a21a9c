"""Writes tests/wheels.txt: for each locked package the wheels that Linux and macOS would install, by name.

`make lock` runs it and so renews the list: uv says which files the index has for the locked versions, and they come in
as a pylock.toml on standard input. tests/test_wheels.py looks whether any package lacks a wheel somewhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / "tests" / "wheels.txt"
GUEST = ROOT / "requirements-guest.txt"
PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13), (3, 14))
GLIBC = 31  # 2.31, the oldest that is supported
MUSL = 2  # 1.2
MACOS = (12, 0)
_HEAD = "# The wheels that the locked packages have on the supported machines; `make lock` writes this file.\n"


@dataclass(frozen=True)
class Target:
    """A machine with a Python, for which every locked package needs a wheel."""

    python: tuple[int, int]
    system: str  # as platform.system() says
    machine: str
    musl: bool = False  # Linux with musl in place of glibc

    def __str__(self) -> str:
        system = f"{self.system}-musl" if self.musl else self.system
        return f"{system}-{self.machine}-{self.python[0]}.{self.python[1]}"

    def tags(self) -> list[Tag]:
        """The tags of wheels that can be installed here, best first."""
        if self.system == "Darwin":
            platforms = list(mac_platforms(MACOS, self.machine))
        elif self.musl:
            platforms = [f"musllinux_1_{minor}_{self.machine}" for minor in range(MUSL, -1, -1)]
        else:
            old = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
            names = [f"manylinux_2_{minor}" for minor in range(GLIBC, 4, -1)] + list(old.values()) + ["linux"]
            platforms = [f"{name}_{self.machine}" for name in names]
        interpreter = "cp{}{}".format(*self.python)
        return [*cpython_tags(self.python, None, platforms), *compatible_tags(self.python, interpreter, platforms)]

    def wants(self, marker: str) -> bool:
        """Whether a package with this marker is installed here."""
        version = "{}.{}".format(*self.python)
        return not marker or Marker(marker).evaluate(
            {
                "python_version": version,
                "python_full_version": f"{version}.1",
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
                "platform_system": self.system,
                "platform_machine": self.machine,
                "sys_platform": "darwin" if self.system == "Darwin" else "linux",
                "os_name": "posix",
            }
        )


def _targets(*machines: tuple[str, str], musl: bool = False) -> list[Target]:
    return [Target(python, system, machine, musl) for system, machine in machines for python in PYTHONS]


TARGETS = _targets(("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64"), ("Darwin", "x86_64"))
# There a guest can chat, but no Java is to be had as a package.
GUESTS_TARGETS = [*TARGETS, *_targets(("Linux", "x86_64"), ("Linux", "aarch64"), musl=True)]


def best(names: Iterable[str], target: Target) -> str | None:
    """The wheel of one package in one version that pip would install there; None when none of them fits."""
    rank = {tag: number for number, tag in enumerate(target.tags())}
    fitting = [
        (min(rank[tag] for tag in tags & rank.keys()), name) for name in names if (tags := _tags(name)) & rank.keys()
    ]
    return min(fitting)[1] if fitting else None


def by_package(names: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """The names of wheels by package and version."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        package, version, _, _ = parse_wheel_filename(name)
        found.setdefault((canonicalize_name(package), str(version)), []).append(name)
    return found


def pins(lock: str) -> list[tuple[str, str, str]]:
    """The packages in the text of a lock file with their versions and markers ("" for none)."""
    return re.findall(r"^([a-z][\w.-]*)==(\S+)(?: ; (.*?))? \\$", lock, re.MULTILINE)


def _tags(name: str) -> frozenset[Tag]:
    return parse_wheel_filename(name)[3]


def main() -> None:
    """Choose from the wheels of the lock on standard input, and write the list."""
    offered = by_package(re.findall(r'/([^/"]+\.whl)"', sys.stdin.read()))
    guests = {(name, version) for name, version, _ in pins(GUEST.read_text("utf-8"))}
    chosen = {
        best(names, target)
        for package, names in offered.items()
        for target in (GUESTS_TARGETS if package in guests else TARGETS)
    } - {None}
    WHEELS.write_text(_HEAD + "".join(f"{name}\n" for name in sorted(map(str, chosen))), "utf-8")


if __name__ == "__main__":
    main()
