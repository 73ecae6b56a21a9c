"""Sets streamcli's clock to the second that ``STREAMCLI_TEST_CLOCK`` names, as on a board without a battery.

Python imports this at its start from PYTHONPATH, so the program itself knows nothing of it.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone

seconds = os.environ.get("STREAMCLI_TEST_CLOCK")
if seconds and "worker" not in sys.orig_argv[-1]:
    from dataclasses import replace

    from streamcli.system import clock

    now = float(seconds)
    clock.SYSTEM = replace(
        clock.SYSTEM, now=lambda: datetime.fromtimestamp(now, timezone.utc), time_ns=lambda: int(now * 1e9)
    )
