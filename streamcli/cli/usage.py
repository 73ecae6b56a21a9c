"""The usage text, from which docopt reads the command line."""

from __future__ import annotations

from typing import Final

# What a chat that was joined can't be called.
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
# Not a docstring, because python -OO removes docstrings.
USAGE: Final = """\
streamcli: a terminal chat whose only server is a Pravega log.

Usage:
  streamcli send [--timeout S] [--verbose] [options] [--] [<text>...]
  streamcli tail [--json] [--no-follow] [--last N] [--timeout S] [--verbose] [options]
  streamcli history [--last N] [--json] [--timeout S] [--verbose] [options]
  streamcli search [--last N] [--json] [--timeout S] [--verbose] [options] [--] <words>...
  streamcli doctor [--timeout S] [--verbose] [options]
  streamcli invite [--expires T] [--since-joining] [--host H] [--port P] [--timeout S] [--verbose] [options] [--] <name>
  streamcli uninvite [--verbose] [--] <name>
  streamcli guests [--verbose]
  streamcli join [--as NAME] [--at HOST] [--verbose] [<line>]
  streamcli chats [--verbose]
  streamcli server start [--in-memory] [--data-dir DIR] [--no-auth] [--timeout S] [--verbose]
  streamcli server run [--in-memory] [--data-dir DIR] [--no-auth] [--timeout S] [--verbose]
  streamcli server (stop|status|logs) [--timeout S] [--verbose]
  streamcli server access [--no-start] [--timeout S] [--verbose]
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
history. doctor reports what works and what does not. invite prints a line with which somebody on
another machine joins the chat on this machine's embedded server, and starts its gate, one TLS port;
guests lists who may come in, uninvite removes them. join takes such a line, or asks for it, saves
the chat and opens it; chats lists what was joined, and `streamcli NAME` opens one of them. server
run stays in the foreground, for systemd (server unit prints a unit) and containers. server backup
copies the server's data while it runs.

ssh://[user@]host[:port] in place of a URL is the embedded server of another machine of yours, where
streamcli is installed too; server access is what ssh runs there.

Options:
  --url URL        the controller or controllers, or a joined chat, instead of <url> [STREAMCLI_URL]
  --id NAME        your name in the chat, instead of <id> [STREAMCLI_ID]
  --scope SCOPE    the log's scope (default: scope) [STREAMCLI_SCOPE]
  --stream STREAM  the log's stream (default: stream) [STREAMCLI_STREAM]
  --room ROOM      the room to send to (default: lobby) [STREAMCLI_ROOM]; tail: show only this room
  --client NAME    how to speak to Pravega: wheel or java (default: what suits) [STREAMCLI_CLIENT]
  --json           tail, history, search: print each message as one line of JSON
  --no-follow      tail: stop at the end of the log
  --last N         tail: start with the last N messages; history, search: print N (default: 50)
  --expires T      invite: for how long it can be used, such as 30m, 24h or 7d (default: 24h)
  --since-joining  invite: what was said before joining is not shown
  --host H         invite: how others reach this machine, if not by its own address; commas join several
  --port P         invite: the gate's port (default: 4483, or that of the last invitation)
  --as NAME        join: what to call the chat on this machine (default: its owner's name)
  --at HOST        join: where the gate is, instead of what the line says; HOST:PORT names a port too
  --in-memory      server start, run: keep all data in memory; it is lost when the server ends
  --data-dir DIR   server start, run: the data folder; remembered for later starts
  --no-auth        server start, run: require no password; for tests only
  --no-start       server access: do not start the server
  --system         server unit: print a unit for the system's systemd instead of your own
  --timeout S      how many seconds to wait for a server (default: 10; server run: 60)
  --verbose        also write the program's log to the terminal
  --version        print the version
  -h, --help       print this text
"""
