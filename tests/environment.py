"""The program as the tests, the torture and the bench run it: its command, its environment and its processes."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import platformdirs
import psutil

STREAMCLI = [sys.executable, "-m", "streamcli"]
NETWORK = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "STREAMCLI_MAVEN_URL")
KEPT = ("PATH", "STREAMCLI_JAVA", "STREAMCLI_CLIENT", *NETWORK)
# Asked for once: the torture gives its own process another home later on.
CACHE = os.environ.get("STREAMCLI_TEST_CACHE") or platformdirs.user_cache_dir()


def make_home(folder: Path) -> dict[str, str]:
    """Make ``folder`` a newcomer's home; the environment of one whose files all lie in it, but for the jars' cache."""
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    return {
        "LANG": "C.UTF-8",
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(folder),
        "USER": "newcomer",
        "LOGNAME": "newcomer",
        "TERM": "xterm-256color",
        "TZ": "UTC",
        "TMPDIR": str(folder / "tmp"),
        "XDG_CACHE_HOME": CACHE,
    }


def workers_of(pid: int) -> dict[str, int]:
    """The worker processes of a prompt: ``{"read_worker": pid, "write_worker": pid}``, those that live.

    With the Java client both are in one process.
    """
    return {name: process.pid for name, process in worker_processes(pid)}


def worker_processes(pid: int) -> list[tuple[str, psutil.Process]]:
    """The worker processes of a prompt or a gate that live, each with its name; a gate may have several of a name."""
    found: list[tuple[str, psutil.Process]] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                if child.status() != psutil.STATUS_ZOMBIE and "-m" in child.cmdline():
                    name = child.cmdline()[-1].rpartition(".")[2]
                    found += [(one, child) for one in (("read_worker", "write_worker") if name == "host" else (name,))]
    return found


def living_below(folder: Path) -> list[psutil.Process]:
    """Whoever has a home in ``folder``, except for this process; ``cmdline`` is in each one's ``info``."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if process.pid != os.getpid() and (process.info["environ"] or {}).get("HOME", "").startswith(str(folder))
    ]


def makes_an_archive(process: psutil.Process) -> bool:
    """Whether it makes the archive of Java's classes: the first start of all has that done beside it, and it ends."""
    return "-Xshare:dump" in (process.info["cmdline"] or ())
