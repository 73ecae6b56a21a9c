"""``python -m cluster``: starts a real Pravega cluster on this machine, stops it, and breaks it if wanted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cluster.cluster import READY_WITHIN, Cluster
from cluster.record import PARTS
from streamcli.errors import StreamcliError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "cluster"
NOT_RUNNING = 3


def main() -> int:
    """Do what is asked; every error is one line."""
    options = _options()
    cluster = Cluster(options.folder, say=lambda text: print(text, file=sys.stderr, flush=True))
    try:
        if options.action == "status":
            return _status(cluster)
        if options.action == "stop":
            print("The cluster is stopped; its data stay." if cluster.stop() else "The cluster did not run.")
        elif options.action == "delete":
            cluster.delete()
            print("The cluster is stopped, and its data are deleted.")
        elif options.action == "kill":
            ran = cluster.kill(options.part)
            print(f"{options.part} is killed." if ran else f"{options.part} did not run.")
        elif options.action == "restart":
            cluster.restart(options.part, options.timeout)
        else:
            cluster.start(options.timeout)
            _say_how_to_chat(cluster)
    except StreamcliError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("cluster: Interrupted. What has been started goes on; ARGS=stop ends it.", file=sys.stderr)
        return 130
    return 0


def _status(cluster: Cluster) -> int:
    states = cluster.status()
    for part in PARTS:
        pid, port = (cluster.pid(part), cluster.port(part)) if states else (None, None)
        where = f"port {port}, process {pid}" if pid else ""
        print(f"{part:<13} {states.get(part, 'down'):<9} {where}".rstrip())
    well = bool(states) and all(state == "ready" for state in states.values())
    if states:
        print(f"url           {cluster.url}")
    return 0 if well else NOT_RUNNING


def _say_how_to_chat(cluster: Cluster) -> None:
    program = Path(sys.executable).with_name("streamcli")
    print(
        f"""\
The cluster is ready: ZooKeeper, 3 bookies, 2 controllers, 2 segment stores.
  url    {cluster.url}
  chat   STREAMCLI_LOGIN_FILE={cluster.login_file} {program} {cluster.url}
  break  make cluster ARGS="kill store-1"      (parts: {", ".join(PARTS)})
  mend   make cluster ARGS="restart store-1"
  end    make cluster ARGS=stop                (ARGS=delete deletes its data, too)"""
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make cluster", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where its data lie (build/cluster)")
    parser.add_argument("--timeout", type=float, default=READY_WITHIN, help=f"seconds to wait ({READY_WITHIN:g})")
    actions = parser.add_subparsers(dest="action", metavar="start | stop | status | delete | kill PART | restart PART")
    for name in ("start", "stop", "status", "delete"):
        actions.add_parser(name)
    for name in ("kill", "restart"):
        actions.add_parser(name).add_argument("part", choices=PARTS, metavar="PART")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
