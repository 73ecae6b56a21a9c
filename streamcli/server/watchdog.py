"""Run as a program, ``watchdog.py PID SECONDS``: the suspended process PID goes on when this program's input ends.

Its input is a pipe that whoever suspends PID holds open. So PID goes on when that process is killed as well, and after
SECONDS in any case. It imports only what it needs and nothing of ours: it is started while somebody waits.
"""

import contextlib
import os
import select
import signal
import sys


def main(pid: int, limit: float) -> None:
    """Wait for the end of standard input, at most ``limit`` seconds, and let ``pid`` go on."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    os.write(1, b"\n")  # from here on nothing but kill -9 keeps this program from its task
    select.select([0], [], [], limit)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
