"""Every locked package has a wheel for each supported machine and Python, by the list that `make lock` writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.test_scaffolding import ROOT, loaded

wheels: Any = loaded(ROOT / "tools" / "wheels.py")


def pins(name: str) -> list[tuple[str, str, str]]:
    """The packages of a lock file with their versions and markers."""
    return re.findall(r"^([a-z][\w.-]*)==(\S+)(?: ; (.*?))? \\$", (ROOT / name).read_text("utf-8"), re.MULTILINE)


def listed() -> dict[tuple[str, str], list[str]]:
    lines = Path(wheels.WHEELS).read_text("utf-8").splitlines()
    return wheels.by_package(line for line in lines if not line.startswith("#"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
@pytest.mark.parametrize("target", wheels.TARGETS, ids=str)
def test_every_package_has_a_wheel_there(target: Any, lock: str) -> None:
    known = listed()
    wanted = [(name, version) for name, version, marker in pins(lock) if target.wants(marker)]
    assert len(wanted) > 15
    assert not [pin for pin in wanted if not wheels.best(known.get(pin, []), target)]


def test_the_list_is_of_the_locked_versions_only() -> None:
    assert listed().keys() == {(name, version) for name, version, _ in pins("requirements-dev.txt")}


def test_pravegas_client_is_left_out_where_it_has_no_wheel() -> None:
    (marker,) = [marker for name, _, marker in pins("requirements.txt") if name == "pravega"]
    where = {str(target) for target in wheels.TARGETS if target.wants(marker)}
    assert where == {"Linux-x86_64-3.10", "Linux-x86_64-3.11"}


@pytest.mark.parametrize(
    "tags",
    [
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp313-cp313-manylinux_2_28_aarch64",
        "cp312-cp312-manylinux_2_34_aarch64",
        "cp312-cp312-musllinux_1_2_aarch64",
    ],
)
def test_a_wheel_for_another_machine_or_python_does_not_fit(tags: str) -> None:
    target = wheels.Target((3, 12), "Linux", "aarch64")
    assert wheels.best([f"x-1-{tags}.whl"], target) is None
    fits = "x-1-cp39-abi3-manylinux_2_17_aarch64.whl"
    assert wheels.best([f"x-1-{tags}.whl", "x-1-py3-none-any.whl", fits], target) == fits
