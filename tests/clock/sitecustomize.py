"""Sets streamcli's clock to the second that ``STREAMCLI_TEST_CLOCK`` names, as on a board without a battery.

Python imports this at its start from PYTHONPATH, so the program itself knows nothing of it.
"""

from __future__ import annotations

import os
import sys
import time
import types
from datetime import datetime, timezone

seconds = os.environ.get("STREAMCLI_TEST_CLOCK")
if seconds and "worker" not in sys.orig_argv[-1]:
    from streamcli.chat import chatter
    from streamcli.cli import send
    from streamcli.log.wheel import groups

    wrong = types.ModuleType("time")
    wrong.__dict__.update(vars(time), time_ns=lambda: int(float(seconds) * 1e9), time=lambda: float(seconds))
    for module in (chatter, send, groups):
        assert module.time is time
        vars(module)["time"] = wrong
    for each in (chatter, send):
        assert callable(each._now)
        vars(each)["_now"] = lambda: datetime.fromtimestamp(float(seconds), timezone.utc)
