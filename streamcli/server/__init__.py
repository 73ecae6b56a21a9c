"""The embedded server: a real Pravega, started when needed, for people who have none."""

from streamcli.server.control import State, Status, current_url, ensure_running, login, status, stop
from streamcli.server.progress import Lines, Progress, Quiet
from streamcli.server.state import Choice, Ports, log_path
from streamcli.server.watch import Watch

__all__ = [
    "Choice",
    "Lines",
    "Ports",
    "Progress",
    "Quiet",
    "State",
    "Status",
    "Watch",
    "current_url",
    "ensure_running",
    "log_path",
    "login",
    "status",
    "stop",
]
