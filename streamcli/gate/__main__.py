"""``python -m streamcli.gate``: the gate's process. It is started by whoever invites, and by the server."""

from __future__ import annotations

import sys

from streamcli.gate.process import run

if __name__ == "__main__":
    sys.exit(run())
