"""Signs a guest's key in a process of its own, ``python -m streamcli.gate.signing``.

The package cryptography would stay in the gate's memory, a fifth of it, for what is done once a guest.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from streamcli.errors import Unreachable
from streamcli.gate.certificates import GateKeys

_WITHIN = 30.0  # seconds


def sign_apart(keys: GateKeys, name: str, public_key: str) -> str:
    """Return a certificate (PEM) for a guest's public key (PEM).

    Raises ValueError for what is no key of a guest's, and Unreachable if no process can be run.
    """
    request = json.dumps({"folder": str(keys.folder), "name": name, "key": public_key})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "streamcli.gate.signing"],
            input=request,
            stdout=subprocess.PIPE,
            cwd="/",
            text=True,
            timeout=_WITHIN,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unreachable("The gate is too busy to let anybody in just now. Try again in a moment.") from error
    answer = json.loads(done.stdout)
    if "certificate" not in answer:
        raise ValueError(answer["trouble"])
    return str(answer["certificate"])


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    try:
        certificate = GateKeys(Path(request["folder"])).sign(request["name"], request["key"])
        print(json.dumps({"certificate": certificate}))
    except ValueError as error:
        print(json.dumps({"trouble": str(error)}))


if __name__ == "__main__":
    main()
