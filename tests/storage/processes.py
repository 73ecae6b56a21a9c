"""Processes that can be killed at any moment: forked, so that they stand at once, and without the tests' clean-up."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable

Say = Callable[[int], None]


class Process:
    """A fork that runs ``work(say)``; numbers it says can be read here, in order, also when it is dead."""

    def __init__(self, work: Callable[[Say], None]) -> None:
        self._pipe, says = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                work(lambda number: _write(says, number))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(says)
        self._ended = False

    def heard(self) -> int:
        """The next number; -1 when it has ended."""
        data = os.read(self._pipe, 4)
        return int.from_bytes(data, "big") if data else -1

    def all_heard(self) -> list[int]:
        numbers = []
        while (number := self.heard()) != -1:
            numbers.append(number)
        return numbers

    def kill(self, after: float = 0) -> None:
        """kill -9, ``after`` so many seconds."""
        time.sleep(after)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._ended = True

    def code(self) -> int:
        """Wait for its end; 0 when all went well."""
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        return os.waitstatus_to_exitcode(status)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended:
            self.kill()
        os.close(self._pipe)


def _write(pipe: int, number: int) -> None:
    os.write(pipe, number.to_bytes(4, "big"))
