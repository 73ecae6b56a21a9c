"""``python -m streamcli`` and the command ``streamcli``: what comes before everything else is loaded."""

from __future__ import annotations

import os
import signal
from typing import NoReturn


def main() -> None:
    """Run the command line. Ctrl-C ends with one line and 130 also while the program is still being loaded."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in a shell's background it is ignored
        signal.signal(signal.SIGINT, _leave)
    from streamcli.cli.main import main as run

    run()


def _leave(*received: object) -> NoReturn:
    os.write(2, b"streamcli: Interrupted.\n")
    os._exit(130)


if __name__ == "__main__":
    main()
