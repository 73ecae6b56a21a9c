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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docopt import DocoptExit, docopt

from streamcli import __version__
from streamcli.errors import CannotCreate, StreamcliError, UsageError, from_os_error
from streamcli.system import clock
from streamcli.system.standard_files import STDIN, patient

if TYPE_CHECKING:
    from streamcli.config import Settings
    from streamcli.log.api import Target

# Not a docstring, because python -OO removes docstrings.
USAGE: Final = """\
streamcli: a terminal chat whose only server is a Pravega log.

Usage:
  streamcli send [--timeout S] [--verbose] [options] [--] [<text>...]
  streamcli tail [--json] [--no-follow] [--last N] [--timeout S] [--verbose] [options]
  streamcli history [--last N] [--json] [--timeout S] [--verbose] [options]
  streamcli search [--last N] [--json] [--timeout S] [--verbose] [options] [--] <words>...
  streamcli doctor [--timeout S] [--verbose] [options]
  streamcli server start [--in-memory] [--data-dir DIR] [--no-auth] [--timeout S] [--verbose]
  streamcli server run [--in-memory] [--data-dir DIR] [--no-auth] [--timeout S] [--verbose]
  streamcli server (stop|status|logs) [--timeout S] [--verbose]
  streamcli server backup [--verbose] <dir>
  streamcli server unit [--system] [--verbose]
  streamcli [<url>] [<id>] [--timeout S] [--verbose] [options]
  streamcli --version
  streamcli --help

Without a command, open the chat. Without a URL, use the embedded server, and start it if needed; a
URL is a Pravega controller's, such as tcp://127.0.0.1:9090 or tls://chat.example.org:9090; a
cluster's controllers are joined by commas, as in tcp://a:9090,b:9090. A server's account comes from
STREAMCLI_ACCOUNT and STREAMCLI_PASSWORD or from a login file, never from an option. The default id
is your login name. send sends its arguments as one message, or each line of standard input as one,
and ends when all are in the log. tail prints messages from the head of the log and follows it.
history and search read new messages from the log if a server answers, then print this machine's
history. doctor reports what works and what does not. server run stays in the foreground, for systemd
(server unit prints a unit) and containers. server backup copies the server's data while it runs.

Options:
  --url URL        the controller or controllers, instead of <url> [STREAMCLI_URL]
  --id NAME        your name in the chat, instead of <id> [STREAMCLI_ID]
  --scope SCOPE    the log's scope (default: scope) [STREAMCLI_SCOPE]
  --stream STREAM  the log's stream (default: stream) [STREAMCLI_STREAM]
  --room ROOM      the room to send to (default: lobby) [STREAMCLI_ROOM]; tail: show only this room
  --client NAME    how to speak to Pravega: wheel or java (default: what suits) [STREAMCLI_CLIENT]
  --json           tail, history, search: print each message as one line of JSON
  --no-follow      tail: stop at the end of the log
  --last N         tail: start with the last N messages; history, search: print N (default: 50)
  --in-memory      server start, run: keep all data in memory; it is lost when the server ends
  --data-dir DIR   server start, run: the data folder; remembered for later starts
  --no-auth        server start, run: require no password; for tests only
  --system         server unit: print a unit for the system's systemd instead of your own
  --timeout S      how many seconds to wait for a server (default: 10; server run: 60)
  --verbose        also write the program's log to the terminal
  --version        print the version
  -h, --help       print this text
"""
_ONLY_FOR = {**dict.fromkeys(("--in-memory", "--data-dir", "--no-auth"), ("start", "run")), "--system": ("unit",)}
COMMANDS = ("send", "tail", "history", "search", "server", "doctor")
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
    if url and "://" not in url:
        near = difflib.get_close_matches(url, COMMANDS, n=1)
        offer = f"a URL looks like tcp://127.0.0.1:9090, and --id {url} chats under that name."
        if near:
            offer = f"did you mean “{_usage_of(near[0])}”?"
        raise UsageError(f"{url!r} is neither a command nor a URL: {offer} See streamcli --help.")
    for first, second in (("<url>", "--url"), ("<id>", "--id")):
        if None not in (arguments[first], arguments[second]) and arguments[first] != arguments[second]:
            raise UsageError(f"{first} and {second} differ: give one of them. See streamcli --help.")
    for option, actions in _ONLY_FOR.items():
        if arguments[option] and not (arguments["server"] and any(arguments[action] for action in actions)):
            words = " and ".join(f"`streamcli server {action}`" for action in actions)
            raise UsageError(f"{option} is only for {words}. See streamcli --help.")
    return arguments


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
    from streamcli.cli import server
    from streamcli.config import seconds

    os.environ.pop("STREAMCLI_PASSWORD", None)  # the server's long-lived processes must not inherit it
    if arguments["backup"]:
        return server.backup(arguments["<dir>"], sys.stdout, clock.SYSTEM)
    if arguments["unit"]:
        return server.print_unit(arguments["--system"], sys.stdout)
    action = next(name for name in ("start", "run", "stop", "status", "logs") if arguments[name])
    options = (arguments["--in-memory"], arguments["--data-dir"], arguments["--no-auth"])
    choice = server.chosen(*options) if action in ("start", "run") else None
    timeout = seconds(arguments["--timeout"] or ("60" if action == "run" else None))
    return server.run(action, timeout, sys.stdout, sys.stderr, choice, clock.SYSTEM)


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
    return runtime.run(settings, lambda target: doctor(settings, target, sys.stdout), start=False, prepared=False)


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
    return runtime.run(settings, lambda target: show(settings, asked, target, clock.SYSTEM), start=False)


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
