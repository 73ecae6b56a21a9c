"""Every example in the README is run as it stands there, output included."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import People, Server

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
VARYING = [
    (r"\b\d\d:\d\d\b", "HH:MM"),
    (r'"id": "[0-9a-f]{32}"', '"id": "…"'),
    (r'"(sent|typed)_at": "[^"]+"', r'"\1_at": "…"'),
]


def examples() -> list[tuple[str, str]]:
    """Each command of the console blocks with the output shown for it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def examples_of_the_chat() -> list[tuple[str, str]]:
    """All but those that start a server of their own: tests/test_sharing.py runs these."""
    return [example for example in examples() if not example[0].startswith("streamcli invite")]


def steady(text: str) -> str:
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text)
    return text


def test_the_examples_do_what_the_readme_says(people: People, server: Server) -> None:
    scripts = Path(sys.executable).parent
    env = {**people.env("reader"), "STREAMCLI_URL": people.url}
    env["PATH"] = f"{scripts}:{env['PATH']}"
    assert len(examples_of_the_chat()) >= 8
    for command, output in examples_of_the_chat():
        done = subprocess.run(
            ["bash", "-c", command], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        assert steady(done.stdout) == steady(output), command


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_target_that_is_named_exists() -> None:
    named = {
        word for block in re.findall(r"`make ([a-z]+)|^make ([a-z]+)", README, re.MULTILINE) for word in block if word
    }
    assert named and named <= targets()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
