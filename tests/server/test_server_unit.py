"""The systemd unit: systemd itself checks it where it is installed, and its command is run as it stands there."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamcli.server import unit
from tests.conftest import eventually
from tests.environment import STREAMCLI, make_home

NASTY = "a $HOME %h 'b' \"c\" \\d ü"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")


def parsed(text: str) -> dict[str, list[str]]:
    """The settings of all sections, each with its values."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def words(value: str) -> list[str]:
    """What systemd makes of a command or of an environment, as far as our units use its rules."""
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(value)]


def verified(text: str, folder: Path, *options: str) -> str:
    """What systemd has to say against a unit."""
    folder.mkdir(exist_ok=True)
    path = folder / "streamcli.service"
    path.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", *options, "verify", str(path)],
        env={"XDG_RUNTIME_DIR": str(folder), "HOME": str(folder), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout if done.stdout or done.returncode == 0 else f"exit code {done.returncode}"


@needs_systemd
def test_systemd_has_nothing_against_it(tmp_path: Path) -> None:
    assert verified(unit.unit(), tmp_path / "user", "--user") == ""
    assert verified(unit.unit("root"), tmp_path / "system") == ""
    assert "Unknown key" in verified(unit.unit("root").replace("KillMode=", "KilMode="), tmp_path / "wrong")


@needs_systemd
def test_systemd_finds_a_program_with_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a b %h ü", NASTY):
        program = tmp_path / name / "streamcli"
        program.parent.mkdir()
        program.touch(0o755)
        monkeypatch.setattr(unit, "program", lambda: [str(program)])  # noqa: B023
        text = unit.unit("root", {"XDG_DATA_HOME": f"/{name}"})
        assert verified(text, tmp_path / "unit") == ""
        settings = parsed(text)
        assert words(settings["ExecStart"][0])[-3:] == [str(program), "server", "run"]
        assert words(settings["Environment"][0]) == [f"XDG_DATA_HOME=/{name}"]
    monkeypatch.setattr(unit, "program", lambda: [str(tmp_path / "a b %h ü" / "missing")])
    assert "not executable" in verified(unit.unit("root"), tmp_path / "unit")


def test_it_finds_what_its_user_finds() -> None:
    text = unit.unit(environment={"XDG_STATE_HOME": "/s", "STREAMCLI_JAVA": "/j", "PATH": "/bin", "XDG_DATA_HOME": ""})
    assert parsed(text)["Environment"] == ["XDG_STATE_HOME=/s", "STREAMCLI_JAVA=/j"]
    assert "Environment" not in parsed(unit.unit(environment={}))


def test_one_for_the_system_names_the_user_and_another_target() -> None:
    own, systems = parsed(unit.unit()), parsed(unit.unit("chat"))
    assert "User" not in own and systems["User"] == ["chat"]
    assert own["WantedBy"] == ["default.target"] and systems["WantedBy"] == ["multi-user.target"]
    for settings in (own, systems):
        assert settings["Type"] == ["exec"]
        assert settings["Restart"] == ["on-failure"]
        assert "MemoryDenyWriteExecute" not in settings


def test_the_program_is_the_script_or_else_the_module(tmp_path: Path) -> None:
    script = tmp_path / "streamcli"
    assert unit.program([str(script)]) == [sys.executable, "-m", "streamcli"]
    script.touch(0o755)
    assert unit.program([str(script)]) == [str(script)]


@pytest.mark.real
@pytest.mark.timeout(240)
def test_its_command_runs_a_server_until_it_gets_a_signal(tmp_path: Path) -> None:
    env = make_home(tmp_path)
    printed = subprocess.run([*STREAMCLI, "server", "unit"], env=env, capture_output=True, text=True, timeout=30)
    settings = parsed(printed.stdout)
    service = {"HOME": env["HOME"], "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    service |= dict(words(line)[0].split("=", 1) for line in settings["Environment"])
    command = words(settings["ExecStart"][0])

    def healthy() -> bool:
        return (
            subprocess.run([*STREAMCLI, "server", "status"], env=env, capture_output=True, timeout=30).returncode == 0
        )

    with subprocess.Popen(command, env=service, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        assert running.stdout
        try:
            eventually(lambda: healthy() or running.poll() is not None, 100)
            assert running.poll() is None, running.stdout.read()
            sent = subprocess.run([*STREAMCLI, "send", "hello"], env=env, capture_output=True, text=True, timeout=60)
            assert sent.returncode == 0, sent.stderr
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0
        finally:
            running.kill()
    assert not healthy()
