"""From a line to an action, without touching anything."""

from __future__ import annotations

import unicodedata
from typing import Final

from streamcli.commands.actions import Action, Context, Nothing, Send, UsageHint
from streamcli.commands.table import Command, find, unknown
from streamcli.model.message import replace_surrogates

# U+FF0F is the slash of Chinese and Japanese keyboards; some layouts and input methods have the others.
_OTHER_SLASHES: Final = "／⁄∕⧸"


def parse(line: str, context: Context) -> Action:
    """Say what ``line`` means. Text is sent exactly as typed, only the line break at its end goes.

    - ``/name`` is a command in upper or lower case. An unknown one is never sent: it was meant for us, not the room.
    - ``//text`` sends "/text"; "/ text" is no command and is sent as it is.
    - A slash of another script is no command and is never sent by mistake: ``／quit`` is asked about, and doubled it
      sends the text (``／／quit`` sends "／quit").
    - ``greet`` and ``joke`` alone on a line are commands, in exactly this spelling.
    - Blanks before a command we know don't turn it into a message. Before anything else they do.
    """
    text = replace_surrogates(line.removesuffix("\n").removesuffix("\r"))
    if text.isspace() or not text:
        return Nothing()
    first = text[0]
    if text.startswith("//") or (first in _OTHER_SLASHES and text[1:2] == first):
        return Send("chat", text[1:])
    if refusal := _refusal_of_other_slash(text):
        return UsageHint(refusal)
    command, name, argument = _command(text)
    if command:
        return command.run(argument, context)
    return UsageHint(_refusal(name)) if text.startswith("/") and not text[1:2].isspace() else Send("chat", text)


def _command(text: str) -> tuple[Command | None, str, str]:
    """Return the command ``text`` calls, if there is one, its name as typed, and what follows the name."""
    word, *rest = text.split(maxsplit=1)
    argument = rest[0].rstrip() if rest else ""
    if word.startswith("/"):
        return find(word[1:]), word[1:], argument
    command = find(word)
    bare = command is not None and command.bare and text.strip() == command.name
    return (command if bare else None), word, argument


def _refusal_of_other_slash(text: str) -> str:
    """Return what to say of a line that begins with a slash of another script, "" of all others.

    As with "/", blanks before it make it a text unless a command follows, and so does a blank after it.
    """
    word = text.split(maxsplit=1)[0]
    slash, name = word[0], unicodedata.normalize("NFKC", word[1:])
    if slash not in _OTHER_SLASHES or not (find(name) or (text[0] == slash and not text[1:2].isspace())):
        return ""
    return unknown(word[1:], slash)


def _refusal(name: str) -> str:
    return unknown(name) if name else "A slash alone is no command; /help shows what there is. (// sends it as text)"
