"""Every locked package has a wheel for each supported machine and Python, by the list that `make lock` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.test_scaffolding import ROOT, loaded

wheels: Any = loaded(ROOT / "tools" / "wheels.py")


LOCKS = ["requirements-guest.txt", "requirements.txt", "requirements-dev.txt"]
WANTED = [
    (lock, target)
    for lock in LOCKS
    for target in (wheels.GUESTS_TARGETS if ROOT / lock == wheels.GUEST else wheels.TARGETS)
]


def pins(name: str) -> list[tuple[str, str, str]]:
    """The packages of a lock file with their versions and markers."""
    return wheels.pins((ROOT / name).read_text("utf-8"))  # type: ignore[no-any-return]


def listed() -> dict[tuple[str, str], list[str]]:
    lines = Path(wheels.WHEELS).read_text("utf-8").splitlines()
    return wheels.by_package(line for line in lines if not line.startswith("#"))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("lock", "target"), WANTED, ids=str)
def test_every_package_has_a_wheel_there(lock: str, target: Any) -> None:
    known = listed()
    wanted = [(name, version) for name, version, marker in pins(lock) if target.wants(marker)]
    assert len(wanted) > 13
    assert not [pin for pin in wanted if not wheels.best(known.get(pin, []), target)]


def test_the_list_is_of_the_locked_versions_only() -> None:
    assert listed().keys() == {(name, version) for name, version, _ in pins("requirements-dev.txt")}


def test_pravegas_client_is_left_out_where_it_has_no_wheel() -> None:
    (marker,) = [marker for name, _, marker in pins("requirements.txt") if name == "pravega"]
    where = {str(target) for target in wheels.TARGETS if target.wants(marker)}
    assert where == {f"{system}-x86_64-{python}" for system in ("Linux", "Darwin") for python in ("3.10", "3.11")}


def test_a_guest_needs_no_more_than_these() -> None:
    assert {name for name, _, _ in pins("requirements-guest.txt")} == {
        *("cryptography", "cffi", "pycparser"),
        *("pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection"),
        *("prompt-toolkit", "wcwidth", "docopt-ng", "platformdirs", "pyjokes", "tomli"),
        "setuptools",  # the build backend
    }


@pytest.mark.parametrize("target", wheels.GUESTS_TARGETS, ids=str)
def test_keys_can_be_made_on_every_machine(target: Any) -> None:
    (pin,) = [
        (name, version)
        for name, version, marker in pins("requirements-guest.txt")
        if name == "cryptography" and target.wants(marker)
    ]
    assert wheels.best(listed()[pin], target)


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


def test_musl_takes_its_own_wheels_only() -> None:
    target = wheels.Target((3, 12), "Linux", "x86_64", musl=True)
    assert (
        wheels.best(["x-1-cp312-cp312-manylinux_2_17_x86_64.whl", "x-1-cp312-cp312-musllinux_1_3_x86_64.whl"], target)
        is None
    )
    fits = "x-1-cp39-abi3-musllinux_1_1_x86_64.whl"
    assert wheels.best(["x-1-cp312-cp312-manylinux_2_17_x86_64.whl", fits], target) == fits
