"""The process of one part of the cluster: ``python -m cluster.part FILE``, where FILE says what it is."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from streamcli.server import jvm

_LONG = 86_400.0


def main(file: str) -> None:
    """Run the part that ``file`` describes, until it dies."""
    told = json.loads(Path(file).read_text(encoding="utf-8"))
    os.umask(0o077)
    jvm.speak_utf8()
    import jpype

    jpype.startJVM(told["jvm"], *told["flags"], classpath=told["classpath"], convertStrings=True, interrupt=False)
    system = jpype.JClass("java.lang.System")
    for name, value in told["properties"].items():
        system.setProperty(name, value)
    jvm.die_at_exit(jpype)
    if told["rpc"]:
        jvm.bind_to_loopback(jpype)
    if told["format"]:
        jvm.format_once(jpype, Path(told["format"]), told["main"][-1])
    jvm.run(jpype, *told["main"])
    while True:
        time.sleep(_LONG)  # the part runs in a thread, and its end is this process's


if __name__ == "__main__":
    main(sys.argv[1])
