"""`SharingCommands`: /invite, /guests and /uninvite do what the commands of the same names do in a shell."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Callable

from streamcli.commands import Share
from streamcli.config import Settings
from streamcli.system.log_file import our_fault

_log = logging.getLogger(__name__)


class SharingCommands:
    """Runs them in processes of their own: they load what a chat should not hold in memory."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        """``say`` shows a text above the prompt."""
        self._settings, self._say = settings, say
        self._running: set[asyncio.Task[None]] = set()

    def run(self, command: Share) -> None:
        """Start the command; what it prints is shown when it has ended."""
        if self._settings.gate:
            self._say("Only the owner of a chat lets others in, and in this one you are a guest.")
        elif self._settings.controller:
            self._say(
                "Others are let into the chat on a machine's embedded server only; this one is on another server."
            )
        else:
            task = asyncio.create_task(self._run(command))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, command: Share) -> None:
        try:
            self._say(await _output_of(self._arguments(command)))
        except ValueError as error:
            self._say(f"/{command.name}: {error}.")
        except Exception as error:  # nothing awaits the task, so the error would get lost
            _log.exception("/%s failed", command.name)
            self._say(str(our_fault(error)))

    def _arguments(self, command: Share) -> list[str]:
        words = shlex.split(command.argument)
        if command.name != "invite":
            return [command.name, *words]
        stream = self._settings.stream
        us = ["--id", self._settings.user, "--scope", stream.scope, "--stream", stream.stream]
        return ["invite", *us, *words]


async def _output_of(arguments: list[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streamcli",
        *arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={name: value for name, value in os.environ.items() if name != "STREAMCLI_URL"},
        start_new_session=True,
    )
    output, _ = await process.communicate()
    return output.decode(errors="replace").strip().removeprefix("streamcli: ")
