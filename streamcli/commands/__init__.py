"""Slash commands: a line becomes an action, a value that says what to do. Pure."""

from streamcli.commands.actions import (
    Action,
    Ask,
    Complain,
    Context,
    Drop,
    Nothing,
    Outbox,
    Quit,
    Recall,
    Retry,
    Search,
    Send,
    Show,
)
from streamcli.commands.parse import parse
from streamcli.commands.table import COMMANDS, Command, completions, markdown_table

__all__ = [
    "COMMANDS",
    "Action",
    "Ask",
    "Command",
    "Complain",
    "Context",
    "Drop",
    "Nothing",
    "Outbox",
    "Quit",
    "Recall",
    "Retry",
    "Search",
    "Send",
    "Show",
    "completions",
    "markdown_table",
    "parse",
]
