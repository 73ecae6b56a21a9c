"""The embedded server: a real Pravega, started when needed, for people who have none."""

from streamcli.server.control import State, Status, current_url, ensure_running, status, stop
from streamcli.server.progress import Lines, Progress, Quiet
from streamcli.server.state import Ports, log_path

__all__ = [
    "Lines",
    "Ports",
    "Progress",
    "Quiet",
    "State",
    "Status",
    "current_url",
    "ensure_running",
    "log_path",
    "status",
    "stop",
]
