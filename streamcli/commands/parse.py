"""From a line to an action, without touching anything."""

from __future__ import annotations

from streamcli.commands.actions import Action, Complain, Context, Nothing, Send
from streamcli.commands.table import Command, find, unknown
from streamcli.message import mended


def parse(line: str, context: Context) -> Action:
    """Say what ``line`` means. Text is sent exactly as typed, only the line break at its end goes.

    - ``/name`` is a command in upper or lower case. An unknown one is never sent: it was meant for us, not the room.
    - ``//text`` sends "/text"; "/ text" is no command and is sent as it is.
    - ``greet`` and ``joke`` alone on a line are commands, in exactly this spelling.
    - Blanks before a command we know don't turn it into a message. Before anything else they do.
    """
    text = mended(line.removesuffix("\n").removesuffix("\r"))
    if text.isspace() or not text:
        return Nothing()
    if text.startswith("//"):
        return Send("chat", text[1:])
    command, name, argument = _command(text)
    if command:
        return command.run(argument, context)
    return Complain(_refusal(name)) if text.startswith("/") and not text[1:2].isspace() else Send("chat", text)


def _command(text: str) -> tuple[Command | None, str, str]:
    """Return the command ``text`` calls, if there is one, its name as typed, and what follows the name."""
    word, *rest = text.split(maxsplit=1)
    argument = rest[0].rstrip() if rest else ""
    if word.startswith("/"):
        return find(word[1:]), word[1:], argument
    command = find(word)
    bare = command is not None and command.bare and text.strip() == command.name
    return (command if bare else None), word, argument


def _refusal(name: str) -> str:
    return unknown(name) if name else "A slash alone is no command; /help shows what there is. (// sends it as text)"
