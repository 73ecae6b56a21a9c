"""Slash commands: parse a typed line into an action, a value that says what to do. Pure."""

from streamcli.commands.actions import (
    Action,
    Context,
    Drop,
    Nothing,
    Outbox,
    Query,
    Quit,
    Recall,
    Retry,
    Search,
    Send,
    Share,
    Show,
    UsageHint,
)
from streamcli.commands.parse import parse
from streamcli.commands.table import COMMANDS, Command, completions, markdown_table

__all__ = [
    "COMMANDS",
    "Action",
    "Command",
    "Context",
    "Drop",
    "Nothing",
    "Outbox",
    "Query",
    "Quit",
    "Recall",
    "Retry",
    "Search",
    "Send",
    "Share",
    "Show",
    "UsageHint",
    "completions",
    "markdown_table",
    "parse",
]
