"""Lets hosts of Pravega's Java client end before they have a JVM, as on a machine that is short of something.

Python imports this at its start from PYTHONPATH, so the program itself knows nothing of it. ``STREAMCLI_TEST_HOST``
names a file; each of its lines is for one start: "say TEXT" is printed before the end with code 1, "kill" is SIGKILL,
"start" changes nothing. The last line is for all further starts.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

script = os.environ.get("STREAMCLI_TEST_HOST")
if script and sys.orig_argv[-1] == "streamcli.log.java.host":
    lines = Path(script).read_text().splitlines()
    if len(lines) > 1:
        Path(script).write_text("\n".join(lines[1:]))
    fault, _, text = lines[0].partition(" ")
    if fault == "say":
        os.write(2, f"{text}\n".encode())
        os._exit(1)
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
