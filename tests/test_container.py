"""The container files. No container engine is needed: the compose file is read by a real compose implementation.

The image is not built here. Its entry point runs as the compose file says, in a home of its own whose folder `.local`
stands for the volume.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Server, eventually
from tests.environment import STREAMCLI, make_home

ROOT = Path(__file__).resolve().parent.parent


def parsed(tmp_path: Path) -> dict[str, Any]:
    engine = tmp_path / "podman"  # the parser asks the engine for its version before it reads anything
    engine.write_text("#!/bin/sh\necho podman version 5.0.0\n")
    engine.chmod(0o755)
    compose = [str(Path(sys.executable).parent / "podman-compose"), "--podman-path", str(engine), "--profile", "chat"]
    command = [*compose, "-f", str(ROOT / "docker-compose.yml"), "config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    config: dict[str, Any] = yaml.safe_load(done.stdout)
    return config


def test_the_compose_file_says_what_the_readme_promises(tmp_path: Path) -> None:
    services = parsed(tmp_path)["services"]
    server, client = services["pravega"], services["streamcli"]
    assert server["image"] == "pravega/pravega:0.13.0"
    assert [str(port).rsplit(":", 2)[0] for port in server["ports"]] == ["127.0.0.1"] * 3
    assert client["network_mode"] == "service:pravega"
    assert client["depends_on"]["pravega"]["condition"] == "service_healthy"
    assert client["tty"] and client["stdin_open"]


def test_the_health_check_finds_a_real_server_well_and_a_closed_port_ill(tmp_path: Path, server: Server) -> None:
    check = parsed(tmp_path)["services"]["pravega"]["healthcheck"]["test"]
    assert check[:3] == ["CMD", "bash", "-c"]
    status = subprocess.run(
        [*STREAMCLI, "server", "status"], env=server.env, capture_output=True, text=True, timeout=30
    )
    found = re.search(r"REST +port (\d+)", status.stdout)
    assert found, status.stdout
    rest = found[1]

    def healthy(port: str) -> bool:
        script = check[3].replace("/9091", f"/{port}")
        return subprocess.run(["bash", "-c", script], capture_output=True, timeout=30).returncode == 0

    assert healthy(rest)
    assert not healthy("1")


def test_the_image_is_made_of_files_that_exist() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def instructions(name: str) -> list[str]:
    """The arguments of each line of the Dockerfile that begins with ``name``."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def test_the_teams_server_keeps_its_data_and_opens_one_port(tmp_path: Path) -> None:
    config = parsed(tmp_path)
    team = config["services"]["team"]
    assert team["ports"] == ["4483:4483"]
    (volume,) = team["volumes"]
    name, _, place = volume.partition(":") if isinstance(volume, str) else (volume["source"], "", volume["target"])
    assert name in config["volumes"]
    home = instructions("WORKDIR")[-1]
    made = [word for line in instructions("RUN") if line.startswith("mkdir ") for word in line.split() if "/" in word]
    assert place == f"{home}/.local"
    # With the volume, what the server writes is in folders that the image's user has made.
    assert made == [f"{place}/share/streamcli", f"{place}/state/streamcli"]
    assert instructions("USER") == ["streamcli"]


@pytest.mark.real
@pytest.mark.timeout(240)
def test_the_teams_server_as_the_image_runs_it(tmp_path: Path) -> None:
    team = parsed(tmp_path)["services"]["team"]
    entry: list[str] = json.loads(instructions("ENTRYPOINT")[0])
    check = team["healthcheck"]["test"]
    assert check[0] == "CMD"
    volume = tmp_path / "volume"
    volume.mkdir()

    def container(number: int) -> dict[str, str]:
        """The environment of a new container, in which only the volume is not new."""
        home = tmp_path / f"container {number}"
        env = make_home(home)
        (home / ".local").symlink_to(volume)
        return {**env, "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}

    def inside(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    for number in (1, 2):
        env = container(number)
        assert inside(env, *check[1:]).returncode == 3
        with subprocess.Popen([*entry, *team["command"]], env=env, cwd=env["HOME"]) as running:
            try:
                eventually(lambda: inside(env, *check[1:]).returncode == 0 or running.poll() is not None, 100)  # noqa: B023
                assert running.poll() is None
                assert inside(env, *entry, "send", "--id", "tim", f"message {number}").returncode == 0
                told = inside(env, *entry, "tail", "--no-follow").stdout
                assert re.findall(r"tim: (.*)", told) == ["message 1", "message 2"][:number]
                running.send_signal(signal.SIGTERM)  # docker stop
                assert running.wait(int(team["stop_grace_period"].removesuffix("s"))) == 0
            finally:
                running.kill()
        assert inside(env, *check[1:]).returncode == 3


def test_the_line_of_the_image_that_fetches_the_jars_runs(tmp_path: Path) -> None:
    (line,) = [line for line in instructions("RUN") if line.startswith("python ")]
    env = {**make_home(tmp_path), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", line], env=env, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
