"""The container files. No container engine is needed: the compose file is read by a real compose implementation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import Server
from tests.environment import STREAMCLI

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
