"""The names of the commands: what a chat that was joined can't be called."""

from typing import Final

COMMANDS: Final = (
    "send",
    "tail",
    "history",
    "search",
    "server",
    "doctor",
    "invite",
    "uninvite",
    "guests",
    "join",
    "chats",
)
