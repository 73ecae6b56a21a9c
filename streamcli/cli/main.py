"""The command line: parses the arguments according to the usage text and runs the command."""

from __future__ import annotations

import difflib
import errno
import gc
import logging
import os
import re
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docopt import DocoptExit, docopt

from streamcli import __version__
from streamcli.cli.usage import COMMANDS, USAGE
from streamcli.errors import CannotCreate, StreamcliError, UsageError, from_os_error
from streamcli.system import clock
from streamcli.system.standard_files import STDIN, patient

if TYPE_CHECKING:
    from streamcli.config import Settings
    from streamcli.log.api import Target

_ONLY_FOR = {**dict.fromkeys(("--in-memory", "--data-dir", "--no-auth"), ("start", "run")), "--system": ("unit",)}
# Thresholds of the garbage collector. Messages form no cycles, and with the default (700 objects) collecting takes a
# quarter of the time of reading a long log.
RARELY = (20_000, 20, 20)


def main() -> None:
    """Entry point of ``streamcli``. Exits with a code listed in docs/command-line.md."""
    _open_what_is_closed()
    sys.stdout, sys.stderr = patient(sys.stdout), patient(sys.stderr, forgiving=True)
    if not os.environ.get("HOME"):
        os.environ.pop("HOME", None)  # with an empty HOME, files would be created in the root folder
    sys.exit(run(sys.argv[1:]))


def _failed_to_write(error: OSError) -> int:
    # Errors of our own files are translated where they occur; what is left is the current folder and the output.
    try:
        Path.cwd()
    except FileNotFoundError:
        if error.errno == errno.ENOENT:
            text = "The current folder no longer exists. Change to another one and try again."
            print(f"streamcli: {text}", file=sys.stderr)
            return CannotCreate.exit_code
    worded = from_os_error(error, error.filename or "the output")
    _forget_output()
    print(f"streamcli: {worded}", file=sys.stderr)
    return worded.exit_code


def _forget_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's final flush reports no error


def _open_what_is_closed() -> None:
    # Otherwise the next file that is opened would take the place of the closed standard file.
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(fd, "r" if fd == 0 else "w", encoding="utf-8"))


def run(argv: list[str]) -> int:
    """Run the command line and return the exit code. Every error is printed as one line to standard error."""
    verbose = "--verbose" in argv
    logging.getLogger("streamcli").addHandler(logging.NullHandler())  # else an early error would be printed twice
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on Ctrl-C cleans up before exiting
        code = _dispatch(_parse(argv))
        sys.stdout.flush()
        return code
    except StreamcliError as error:
        code, text = error.exit_code, str(error)
        failure: BaseException | None = error.__cause__
    except KeyboardInterrupt:
        code, text, failure = 130, "Interrupted.", None
    except BrokenPipeError:
        _forget_output()
        return 0
    except OSError as error:
        return _failed_to_write(error)
    except Exception as error:
        code, failure = 70, error
        text = f"Something is wrong in streamcli itself ({type(error).__name__}). The log says more: {_log_path()}"
    if failure:
        logging.getLogger("streamcli").error(text, exc_info=failure if verbose or code == 70 else None)
    print(f"streamcli: {text}", file=sys.stderr)
    return code


def _parse(argv: list[str]) -> dict[str, Any]:
    try:
        arguments: dict[str, Any] = docopt(USAGE, argv=argv, version=f"streamcli {__version__}")
    except DocoptExit as error:
        raise UsageError(f"{_misfit(str(error), argv)}. See streamcli --help.") from None
    except SystemExit:
        sys.stdout.flush()  # the text of --help or --version
        raise
    url = arguments["<url>"]
    if url in COMMANDS:
        raise UsageError(f"Wrong arguments for {url}. Usage: {_usage_of(url)}. See streamcli --help.")
    if url and "://" not in url and not _is_joined(url):
        near = difflib.get_close_matches(url, COMMANDS, n=1)
        offer = (
            f"a URL looks like tcp://127.0.0.1:9090, --id {url} chats under that name, and `streamcli chats` lists "
            "joined chats."
        )
        if near:
            offer = f"did you mean “{_usage_of(near[0])}”?"
        raise UsageError(f"{url!r} is neither a command, a URL nor a joined chat: {offer} See streamcli --help.")
    for first, second in (("<url>", "--url"), ("<id>", "--id")):
        if None not in (arguments[first], arguments[second]) and arguments[first] != arguments[second]:
            raise UsageError(f"{first} and {second} differ: give one of them. See streamcli --help.")
    for option, actions in _ONLY_FOR.items():
        if arguments[option] and not (arguments["server"] and any(arguments[action] for action in actions)):
            words = " and ".join(f"`streamcli server {action}`" for action in actions)
            raise UsageError(f"{option} is only for {words}. See streamcli --help.")
    return arguments


def _is_joined(name: str) -> bool:
    from streamcli.saved_chats import saved_chat

    return saved_chat(name) is not None


def _usage_of(command: str) -> str:
    forms = [line.strip() for line in USAGE.splitlines() if line.startswith(f"  streamcli {command} ")]
    return ", or ".join(forms).rstrip(".")


def _misfit(text: str, argv: list[str]) -> str:
    """Translate docopt's error into the beginning of a sentence."""
    if unknown := re.findall(r"(?:Option|Argument)\(.*?'([^']+)'", text):
        if word := _meant_as_text(argv):
            return f"{word} is not an option of {argv[0]}. Put text that begins with - after --: {argv[0]} -- {word}"
        return f"Unexpected argument: {', '.join(unknown)}"
    first = text.strip().partition("\n")[0].rstrip(".")
    return "The arguments don't fit together" if not first or first.lower().startswith("usage") else first


def _meant_as_text(argv: list[str]) -> str:
    """The argument of send or search that looks like an unknown option. (For -foo, docopt reports -f, -o, -o.)"""
    if not argv or argv[0] not in ("send", "search"):
        return ""
    before = argv[: argv.index("--")] if "--" in argv else argv
    ours = {"-", "-h", *re.findall(r"--[a-z-]+", USAGE)}
    return next((word for word in before if word.startswith("-") and word.partition("=")[0] not in ours), "")


def _dispatch(arguments: dict[str, Any]) -> int:
    from streamcli.system.log_file import set_up

    set_up(verbose=arguments["--verbose"])
    if arguments["server"]:
        return _server(arguments)
    if arguments["invite"] or arguments["uninvite"] or arguments["guests"]:
        return _sharing(arguments)
    if arguments["join"]:
        return _join(arguments)
    if arguments["chats"]:
        return _chats()
    if arguments["doctor"]:
        return _doctor(arguments)
    if arguments["tail"]:
        return _tail(arguments)
    if arguments["send"]:
        return _send(arguments)
    if arguments["history"] or arguments["search"]:
        return _history(arguments)
    return _chat(arguments)


def _server(arguments: dict[str, Any]) -> int:
    from streamcli.system import extra

    extra.require()
    from streamcli.cli import server
    from streamcli.config import seconds

    os.environ.pop("STREAMCLI_PASSWORD", None)  # the server's long-lived processes must not inherit it
    if arguments["access"]:
        from streamcli.cli.access import access

        return access(not arguments["--no-start"], seconds(arguments["--timeout"]), sys.stdout, sys.stderr)
    if arguments["backup"]:
        return server.backup(arguments["<dir>"], sys.stdout, clock.SYSTEM)
    if arguments["unit"]:
        return server.print_unit(arguments["--system"], sys.stdout)
    action = next(name for name in ("start", "run", "stop", "status", "logs") if arguments[name])
    options = (arguments["--in-memory"], arguments["--data-dir"], arguments["--no-auth"])
    choice = server.chosen(*options) if action in ("start", "run") else None
    timeout = seconds(arguments["--timeout"] or ("60" if action == "run" else None))
    return server.run(action, timeout, sys.stdout, sys.stderr, choice, clock.SYSTEM)


def _sharing(arguments: dict[str, Any]) -> int:
    from streamcli.system import extra

    extra.require()
    from streamcli.cli import sharing

    os.environ.pop("STREAMCLI_PASSWORD", None)
    if arguments["guests"]:
        return sharing.guests(sys.stdout, clock.SYSTEM)
    if arguments["uninvite"]:
        return sharing.uninvite(arguments["<name>"], sys.stdout, clock.SYSTEM)
    options = {name: arguments[f"--{name}"] for name in ("expires", "host", "port")}
    wanted = sharing.wanted(arguments["<name>"], arguments["--since-joining"], **options)
    return sharing.invite(_settings(arguments), wanted, sys.stdout, clock.SYSTEM)


def _join(arguments: dict[str, Any]) -> int:
    from streamcli.cli import joining

    line = joining.asked(sys.stdin, sys.stderr) if arguments["<line>"] is None else arguments["<line>"]
    chat = joining.join(joining.joining(line, arguments["--as"], arguments["--at"]), sys.stdout, clock.SYSTEM)
    sys.stdout.flush()
    return _chat({**arguments, "--url": chat.name}) if os.isatty(0) and os.isatty(1) else 0


def _chats() -> int:
    from streamcli.cli import joining

    return joining.chats(sys.stdout)


def _chat(arguments: dict[str, Any]) -> int:
    gc.disable()  # imported objects stay alive: collecting them would only delay the prompt

    from streamcli.chat.chatter import Chatter
    from streamcli.cli import runtime

    settings = _settings(arguments, reads=True)

    async def chat(target: Target) -> int:
        chatter = Chatter(settings, target, clock.SYSTEM)
        gc.freeze()
        gc.set_threshold(*RARELY)
        gc.enable()
        return await chatter.run()

    # A prompt need not wait for a server that is down.
    return runtime.run(settings, chat, patient=os.isatty(0) and os.isatty(1), unstarted="Nothing was read or sent.")


def _doctor(arguments: dict[str, Any]) -> int:
    from streamcli.cli import runtime
    from streamcli.cli.doctor import doctor

    settings = _settings(arguments, reads=True)

    def report(target: Target) -> Awaitable[int]:
        return doctor(settings, target, sys.stdout)

    return runtime.run(settings, report, start=False, patient=True, prepared=False)


def _tail(arguments: dict[str, Any]) -> int:
    from streamcli.cli import runtime
    from streamcli.cli.tail import Tail, Wanted
    from streamcli.config import whole_number

    settings = _settings(arguments, reads=True)
    last = arguments["--last"]
    wanted = Wanted(
        json=arguments["--json"],
        follow=not arguments["--no-follow"],
        last=None if last is None else whole_number("--last", last),
        room=None if arguments["--room"] is None else settings.room,
    )

    async def tail(target: Target) -> int:
        return await Tail(settings, wanted, target, clock.SYSTEM).run()

    return runtime.run(settings, tail, start=False)


def _history(arguments: dict[str, Any]) -> int:
    from streamcli.cli import runtime
    from streamcli.cli.history import SHOWN, Asked, show
    from streamcli.config import whole_number

    settings = _settings(arguments, reads=True)
    count = SHOWN if arguments["--last"] is None else whole_number("--last", arguments["--last"])
    words = " ".join(arguments["<words>"]) if arguments["search"] else None
    asked = Asked(count, words, arguments["--json"])
    return runtime.run(settings, lambda target: show(settings, asked, target, clock.SYSTEM), start=False, patient=True)


def _send(arguments: dict[str, Any]) -> int:
    from streamcli.cli import runtime
    from streamcli.cli.send import send
    from streamcli.system.fd_lines import lines

    settings = _settings(arguments)
    text = " ".join(arguments["<text>"]).encode("utf-8", "surrogateescape")
    source = [[text]] if arguments["<text>"] else lines(STDIN)
    return runtime.run(
        settings, lambda target: send(settings, target, source, clock.SYSTEM), unstarted="0 messages are in the log."
    )


def _settings(arguments: dict[str, Any], reads: bool = False) -> Settings:
    from streamcli.config import settle
    from streamcli.model.names import check_group

    options = {
        "url": arguments["--url"] if arguments["<url>"] is None else arguments["<url>"],
        "id": arguments["--id"] if arguments["<id>"] is None else arguments["<id>"],
        **{name: arguments[f"--{name}"] for name in ("scope", "stream", "room", "client", "timeout")},
    }
    settings = settle(options, os.environ)
    if reads:
        check_group(settings.group_owner, settings.stream.stream)
    os.environ.pop("STREAMCLI_PASSWORD", None)  # child processes must not inherit it
    return settings


def _log_path() -> str:
    from streamcli.system.log_file import log_path

    try:
        return str(log_path())
    except StreamcliError as error:
        return f"not available. {error}"
