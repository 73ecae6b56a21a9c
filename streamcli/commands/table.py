"""The table of slash commands, which parsing, ``/help``, completion and the docs all use."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from streamcli.commands.actions import (
    Action,
    Context,
    Drop,
    Outbox,
    Quit,
    Recall,
    Retry,
    Search,
    Send,
    Share,
    Show,
    UsageHint,
)
from streamcli.model.message import jokes
from streamcli.model.numbers import whole

RECALLED: Final = 20
MOST_RECALLED: Final = 1000


class Arity(Enum):
    """Whether a command takes an argument."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True)
class Command:
    """One slash command. ``handler`` gets the argument, without blanks around it."""

    name: str
    help: str
    handler: Callable[[str, Context], Action]
    arity: Arity = Arity.NONE
    arguments: str = ""
    aliases: tuple[str, ...] = ()
    bare: bool = False
    """Whether the name alone on a line, without a slash, calls the command too."""
    more: str = ""
    """Further text for ``/help NAME``."""

    @property
    def usage(self) -> str:
        """The syntax: "/me TEXT"."""
        return f"/{self.name} {self.arguments}".rstrip()

    @property
    def ways(self) -> tuple[str, ...]:
        """All that can be typed for it, the syntax first."""
        return (self.usage, *(f"/{alias}" for alias in self.aliases), *([self.name] if self.bare else []))

    def run(self, argument: str, context: Context) -> Action:
        """Return the handler's action, or a UsageHint if the argument is missing or unexpected."""
        if argument and self.arity is Arity.NONE:
            return UsageHint(f"/{self.name} takes no argument: type {self.usage}")
        if not argument and self.arity is Arity.REQUIRED:
            return UsageHint(f"/{self.name} needs an argument: {self.usage}")
        return self.handler(argument, context)


def _greet(_: str, context: Context) -> Action:
    return Send("greet", "greet")


def _joke(_: str, context: Context) -> Action:
    return Send("joke", context.choose(jokes()))


def _me(text: str, context: Context) -> Action:
    return Send("me", text)


def _history(count: str, context: Context) -> Action:
    if not count:
        return Recall(RECALLED)
    if number := whole(count, MOST_RECALLED):
        return Recall(number)
    return UsageHint(f"/history takes a number from 1 to {MOST_RECALLED:,}; use `streamcli history --last N` for more.")


def _search(words: str, context: Context) -> Action:
    return Search(words)


def _outbox(_: str, context: Context) -> Action:
    return Outbox()


def _retry(_: str, context: Context) -> Action:
    return Retry()


def _drop(_: str, context: Context) -> Action:
    return Drop()


def _share(name: str) -> Callable[[str, Context], Action]:
    return lambda argument, context: Share(name, argument)


def _help(name: str, context: Context) -> Action:
    if not name:
        return Show(_overview())
    name = name.removeprefix("/")
    command = find(name)
    return Show(_details(command)) if command else UsageHint(unknown(name))


def _quit(_: str, context: Context) -> Action:
    return Quit()


COMMANDS: Final = (
    Command("greet", "say hi to everyone", _greet, bare=True),
    Command("joke", "tell a joke", _joke, bare=True),
    Command("me", "describe what you are doing: /me waves", _me, Arity.REQUIRED, "TEXT"),
    Command("help", "list the commands, or explain one", _help, Arity.OPTIONAL, "[COMMAND]"),
    Command("history", "show the last N messages (default: 20)", _history, Arity.OPTIONAL, "[N]"),
    Command(
        "search",
        "search messages; the last word matches as a prefix",
        _search,
        Arity.REQUIRED,
        "WORDS",
        more="Case, accents, punctuation and symbols are ignored. In Chinese, Japanese, Thai and other scripts without "
        "blanks between words, a search matches only the beginning of a phrase.",
    ),
    Command("outbox", "show unsent and failed messages", _outbox),
    Command("retry", "send failed messages again", _retry),
    Command("drop", "delete failed messages from the outbox", _drop),
    Command(
        "invite",
        "let somebody on another machine join: prints a line for them",
        _share("invite"),
        Arity.REQUIRED,
        "NAME",
        more="Options follow the name as in a shell: --expires 7d, --since-joining, --host chat.example.org, --port N.",
    ),
    Command("guests", "list who has joined or is invited", _share("guests")),
    Command("uninvite", "remove a guest at once", _share("uninvite"), Arity.REQUIRED, "NAME"),
    Command("quit", "leave the chat (or press Ctrl-D, or Ctrl-C twice)", _quit, aliases=("exit",)),
)

SLASH_HINT: Final = "send text that begins with a slash"

_BY_NAME: Final = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}
_LONGEST_SHOWN = 40


def find(name: str) -> Command | None:
    """Return the command called ``name`` (no slash, any case), or None."""
    return _BY_NAME.get(name.lower())


def unknown(name: str, slash: str = "/") -> str:
    """Return a hint that ``name`` after ``slash`` is not a command, with a suggestion if one is close."""
    # NFKC turns full-width letters into ASCII.
    near = difflib.get_close_matches(unicodedata.normalize("NFKC", name).lower(), _BY_NAME, n=1)
    shown = name if len(name) <= _LONGEST_SHOWN else name[:_LONGEST_SHOWN] + "…"
    offer = f"did you mean /{near[0]}?" if near else "see /help."
    return f"{slash}{shown} is not a command; {offer} ({slash * 2}{shown} sends it as text)"


def completions(prefix: str) -> list[tuple[str, str]]:
    """Return the commands that begin with ``prefix`` (with its slash), each with its help text."""
    typed = prefix.lower()
    if not typed.startswith("/"):
        return []
    if typed == "/":
        return [(f"/{command.name}", command.help) for command in COMMANDS]
    return [(f"/{name}", command.help) for name, command in _BY_NAME.items() if f"/{name}".startswith(typed)]


def markdown_table() -> str:
    """Return the commands as a Markdown table, for the docs."""
    rows = [("Type", "to"), ("---", "---")]
    rows += [(_typed(command), command.help) for command in COMMANDS]
    rows.append(("`//text`", SLASH_HINT))
    return "".join(f"| {left} | {right} |\n" for left, right in rows)


def _typed(command: Command) -> str:
    return ", ".join(f"`{way}`" for way in command.ways)


def _overview() -> tuple[str, ...]:
    rows = [(", ".join(command.ways), command.help) for command in COMMANDS] + [("//text", SLASH_HINT)]
    width = max(len(left) for left, _ in rows)
    return tuple(f"{left:{width}}  {right}" for left, right in rows)


def _details(command: Command) -> tuple[str, ...]:
    same = [f"/{alias}" for alias in command.aliases]
    same += [f"{command.name} alone on a line"] if command.bare else []
    more = [f"also: {', '.join(same)}"] if same else []
    return (f"{command.usage}  {command.help}", *more, *([command.more] if command.more else []))
