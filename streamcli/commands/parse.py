"""Parse a typed line into an action. Pure."""

from __future__ import annotations

import unicodedata
from typing import Final

from streamcli.commands.actions import Action, Context, Nothing, Send, UsageHint
from streamcli.commands.table import Command, find, unknown
from streamcli.model.message import replace_surrogates

# U+FF0F is the slash of Chinese and Japanese keyboards; other layouts and input methods produce the others.
_OTHER_SLASHES: Final = "／⁄∕⧸"


def parse(line: str, context: Context) -> Action:
    """Return the action that ``line`` means. Text is sent exactly as typed, without the final line break.

    - ``/name`` is a command, in upper or lower case. An unknown one is never sent: it was not meant for the room.
    - ``//text`` sends "/text"; "/ text" is not a command and is sent as it is.
    - A slash of another script never starts a command, nor is it sent by mistake: ``／quit`` yields a hint, and
      doubling the slash sends the text (``／／quit`` sends "／quit").
    - ``greet`` and ``joke`` alone on a line are commands, in exactly this spelling.
    - A known command may follow blanks; anything else after blanks is a message.
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
    """Return the command that ``text`` calls (or None), its name as typed, and its argument."""
    word, *rest = text.split(maxsplit=1)
    argument = rest[0].rstrip() if rest else ""
    if word.startswith("/"):
        return find(word[1:]), word[1:], argument
    command = find(word)
    bare = command is not None and command.bare and text.strip() == command.name
    return (command if bare else None), word, argument


def _refusal_of_other_slash(text: str) -> str:
    """Return the hint for a line that begins with a slash of another script, "" for all others.

    As with "/", a blank after the slash makes it a message, and so do blanks before it unless a command follows.
    """
    word = text.split(maxsplit=1)[0]
    slash, name = word[0], unicodedata.normalize("NFKC", word[1:])
    if slash not in _OTHER_SLASHES or not (find(name) or (text[0] == slash and not text[1:2].isspace())):
        return ""
    return unknown(word[1:], slash)


def _refusal(name: str) -> str:
    return unknown(name) if name else "A single slash is not a command; see /help. (// sends it as text)"
