"""Makes .venv from the lock files, or finds that it is good already.

    python3 tools/make_venv.py          what running the program needs, with the extra `server`
    python3 tools/make_venv.py --dev    and what checking and testing it needs
    ... --venv FOLDER                   in this folder instead of .venv

Any Python 3.6 or later can run this file, with nothing but its own library. When the Python that runs it is not one
that will do, it looks for python3.14 and earlier ones; when there is none, one line says what would do (exit 78).
PYTHON=... in the environment, or on make's command line, names the one to use.

Two may run at once: the folder of the project is locked while .venv is changed. What is installed is written to a stamp
in .venv, last of all, so a missing stamp means a build that was broken off, and .venv is made anew.
"""

import collections
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "streamcli-stamp.json"
LOCKS = {"runtime": "requirements.txt", "dev": "requirements-dev.txt"}

SUPPORTED = ((3, 10), (3, 11), (3, 12), (3, 13), (3, 14))
MACHINES = {"Linux": ("x86_64", "aarch64"), "Darwin": ("x86_64", "arm64")}
GLIBC = (2, 31)
UNUSABLE = 78

Machine = collections.namedtuple("Machine", "implementation version system machine libc")


def this_machine() -> Machine:
    """Say what runs this file: the Python, and the machine as that Python sees it."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        libc = ""
    machine = platform.machine() if sys.maxsize > 2**32 else "32-bit"
    free_threaded = "free-threaded " if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    implementation = free_threaded + platform.python_implementation()
    return Machine(implementation, sys.version_info[:2], platform.system(), machine, libc)


def glibc_version(libc: str) -> "tuple[int, ...] | None":
    """Return (2, 31) for "glibc 2.31"; None for any other C library."""
    match = re.match(r"glibc (\d+)\.(\d+)", libc)
    return (int(match.group(1)), int(match.group(2))) if match else None


def trouble(m: Machine) -> "str | None":
    """Return one line saying why the program can't run on ``m`` and what to do there, or None when it can."""
    here = "{} {}.{} on {} {}".format(m.implementation, *m.version, m.system, m.machine)
    way = None
    if m.system not in MACHINES:
        way = "use Linux; on Windows that is WSL 2 with Ubuntu 20.04 or later"
    elif m.machine not in MACHINES[m.system]:
        way = container("--platform linux/amd64 ")
    elif m.system == "Linux":
        glibc = glibc_version(m.libc)
        if glibc is None:
            here += " with musl or another C library"
        elif glibc < GLIBC:
            here += f" with {m.libc}"
        if glibc is None or glibc < GLIBC:
            way = container("")
    if way is None and (m.implementation != "CPython" or m.version not in SUPPORTED):
        way = "`uv python install 3.11`, then `make chat` (or PYTHON=... names a Python you have)"
    if way is None:
        return None
    return (
        "streamcli needs CPython 3.10 to 3.14 on Linux (x86_64 or arm64, glibc 2.31+) or macOS, because its packages"
        f" have wheels for these, and this is {here}: {way}"
    )


def container(platform: str) -> str:
    """Return the way that works on any machine with Docker."""
    return f'use the container: `docker run --rm -it {platform}-v "$PWD:/src" -w /src python:3.11 make chat`'


def say(text: str) -> None:
    """Print one line to standard error, so that standard output stays the program's."""
    print(f"streamcli: {text}", file=sys.stderr, flush=True)


def shown() -> str:
    """Return the name of the virtual environment's folder for the user."""
    return str(VENV.relative_to(ROOT)) if ROOT in VENV.parents else str(VENV)


def digest(*names: str) -> str:
    """Return one hash over the named files of the project."""
    total = hashlib.sha256()
    for name in names:
        total.update(name.encode() + b"\0" + (ROOT / name).read_bytes() + b"\0")
    return total.hexdigest()


def base_python() -> str:
    """Return the Python outside of any virtual environment that runs this file, with links resolved."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def identity(python: str) -> "list[object]":
    """Return what changes when the Python at this path is replaced by another; empty when it is gone."""
    try:
        found = Path(python).stat()
    except OSError:
        return []
    return [python, found.st_size, found.st_mtime_ns]


def read_stamp() -> "dict[str, object]":
    """Return what .venv holds; empty when it must be made anew."""
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
        python = os.path.realpath(str(VENV / "bin" / "python"))
        usable = stamp["place"] == str(VENV) and stamp["python"] == identity(python)
        if os.environ.get("PYTHON"):
            usable = usable and python == base_python()
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return stamp if usable else {}


def wanted(group: str) -> "dict[str, str]":
    """Return the stamp's entries that must hold before ``group`` counts as installed."""
    return {group: digest(LOCKS[group]), "project": digest("pyproject.toml")}


def satisfied(group: str) -> bool:
    """Say whether .venv holds what ``group`` needs; what developing needs includes what running needs."""
    stamp = read_stamp()
    return any(wanted(g).items() <= stamp.items() for g in {group, "dev"})


def supported_python() -> "str | None":
    """Return another Python, outside of this one, that the program works on."""
    names = ["python{}.{}".format(*version) for version in reversed(SUPPORTED)]
    home = Path.home() / ".local" / "bin"
    for name in [*names, *(str(home / name) for name in names)]:
        path = shutil.which(name)
        if path:
            asked = subprocess.run(
                [path, "-I", __file__, "--supported"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if asked.returncode == 0:
                return path
    return None


def run(command: "list[str]") -> None:
    """Run a command quietly; when it fails, say why and exit."""
    settings = {k: v for k, v in os.environ.items() if k not in ("PIP_TARGET", "PIP_PREFIX", "PYTHONHOME")}
    settings["PIP_USER"] = "0"
    done = subprocess.run(
        command,
        cwd=str(ROOT),
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode == 0:
        return
    output = done.stdout.decode("utf-8", "replace").strip()
    if "ensurepip" in output and "pip" not in command:
        name = "python{}.{}-venv".format(*sys.version_info[:2])
        say(f"this Python can't make virtual environments; on Debian and Ubuntu: `sudo apt install {name}`")
    elif re.search("NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError", output):
        say(
            "can't reach the package index, which is needed once: look at the network or the proxy, then run make again"
        )
    else:
        say(f"this failed: {' '.join(command)}\n{output}")
    sys.exit(1)


def build(group: str) -> None:
    """Bring .venv to the state that ``group`` wants."""
    stamp = read_stamp()
    if STAMP.exists():
        STAMP.unlink()
    if not stamp:
        say(f"making {shown()}: 70 MB to fetch and about 20 s, the first time only")
        if VENV.is_symlink() or VENV.is_file():
            VENV.unlink()
        shutil.rmtree(str(VENV), ignore_errors=True)
        VENV.parent.mkdir(parents=True, exist_ok=True)
        run([base_python(), "-I", "-m", "venv", str(VENV)])
    else:
        say(f"bringing {shown()} up to date")
    pip = [
        str(VENV / "bin" / "python"),
        "-I",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "--retries",
        "2",
    ]
    want = wanted(group)
    if stamp.get(group) != want[group]:
        run([*pip, "install", "-q", "--require-hashes", "--only-binary", ":all:", "-r", LOCKS[group]])
    plain = ["--config-settings", "editable_mode=compat"]
    run([*pip, "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", *plain, "-e", "."])
    stamp.update(want)
    stamp["place"] = str(VENV)
    stamp["python"] = identity(os.path.realpath(str(VENV / "bin" / "python")))
    fresh = STAMP.with_suffix(".new")
    fresh.write_text(json.dumps(stamp, indent=1), "utf-8")
    fresh.replace(STAMP)


def locked_build(group: str) -> None:
    """Build while nobody else does; where the file system knows no locks, build without one."""
    import fcntl  # not at the top: Windows has none, and must get as far as being told what is supported

    folder = os.open(str(ROOT), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another make, which installs packages")
        fcntl.flock(folder, fcntl.LOCK_EX)
    except OSError:
        pass
    try:
        if not satisfied(group):
            build(group)
    finally:
        os.close(folder)


def main() -> int:
    """Do what the arguments say."""
    global VENV, STAMP
    if "--venv" in sys.argv:
        VENV = ROOT / sys.argv[sys.argv.index("--venv") + 1]
        STAMP = VENV / STAMP.name
    problem = trouble(this_machine())
    if "--supported" in sys.argv:
        return UNUSABLE if problem else 0
    group = "dev" if "--dev" in sys.argv else "runtime"
    if satisfied(group):
        return 0
    if problem:
        other = None if os.environ.get("PYTHON") else supported_python()
        if other is None:
            say(problem)
            return UNUSABLE
        os.execv(other, [other, "-I", __file__, *sys.argv[1:]])
    locked_build(group)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("interrupted; the next make starts .venv anew")
        sys.exit(130)
