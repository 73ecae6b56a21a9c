"""The embedded server: a real Pravega, started when needed, for users who have none."""

from streamcli.java.progress import Lines, Progress, Quiet
from streamcli.server.control import State, Status, caveat, current_url, ensure_running, login, status, stop, why_not
from streamcli.server.locate import locating
from streamcli.server.state import Ports, ServerOptions, log_path
from streamcli.server.watch import CrashRestarter

__all__ = [
    "CrashRestarter",
    "Lines",
    "Ports",
    "Progress",
    "Quiet",
    "ServerOptions",
    "State",
    "Status",
    "caveat",
    "current_url",
    "ensure_running",
    "locating",
    "log_path",
    "login",
    "status",
    "stop",
    "why_not",
]
