"""Fetch jars from a Maven repository, several at a time; each is verified before it gets its final name."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from jgo.maven import MavenContext, PythonResolver

from streamcli.errors import FileTrouble, StreamcliError, Unreachable, from_os_error
from streamcli.server.jars import Jar, is_good
from streamcli.server.progress import Progress

REPOSITORY_VARIABLE = "STREAMCLI_MAVEN_URL"
_THREADS = 8
_ATTEMPTS = 3
_PAUSE = 0.5  # seconds before the second attempt; the third waits twice as long
_TIMEOUT = 10  # seconds without a byte
_REDRAW = 0.2  # seconds


class _Cancelled(Exception):
    """The download is given up; ends a worker at its next block."""


def fetch(missing: list[Jar], partial: Path, folder: Path, progress: Progress, already: int = 0) -> None:
    """Fetch the ``missing`` jars by way of ``partial`` (emptied by the caller) into ``folder``.

    ``already`` bytes were there before and count as done. Raises Unreachable, FileTrouble or CannotCreate for the first
    jar that can't be had; KeyboardInterrupt passes at once. Finished jars stay in both cases.
    """
    job = _Job(partial, folder)
    for jar in missing:
        job.todo.put(jar)
    total = already + sum(jar.size for jar in missing)
    # Daemons, not a pool: a pool's threads are joined at exit, and Ctrl-C would wait for a stalled connection.
    for _ in range(min(_THREADS, len(missing))):
        threading.Thread(target=job.work, daemon=True).start()
    left = len(missing)
    try:
        while left:
            progress.download(already + sum(job.received.values()), total)
            try:
                error = job.results.get(timeout=_REDRAW)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            left -= 1
        progress.download(total, total)
    finally:
        job.cancelled.set()


class _Job:
    """What the workers share."""

    def __init__(self, partial: Path, folder: Path) -> None:
        self.todo: queue.SimpleQueue[Jar] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self.cancelled = threading.Event()
        self.received: dict[str, int] = {}  # bytes by file name
        self._folder = folder
        # jgo warns by itself about checksums, on standard error; ours are the ones that count.
        logging.getLogger("jgo").setLevel(logging.CRITICAL)
        mirror = os.environ.get(REPOSITORY_VARIABLE)
        self._maven = MavenContext(
            resolver=PythonResolver(progress_callback=self._count),
            repo_cache=partial,
            local_repos=[],
            remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
            timeout=_TIMEOUT,
        )

    def work(self) -> None:
        """Take jars until none is left; report each to ``results``."""
        while not self.cancelled.is_set():
            try:
                jar = self.todo.get_nowait()
            except queue.Empty:
                return
            try:
                self._get(jar)
                self.results.put(None)
            except _Cancelled:
                return
            except BaseException as error:  # the main thread raises it
                self.results.put(error)
                return

    def _get(self, jar: Jar) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._try(jar)
            except (requests.RequestException, RuntimeError) as error:
                if attempt == _ATTEMPTS:
                    raise _no_network(jar, error) from error
            except OSError as error:
                raise from_os_error(error, self._folder / jar.name) from error
            if self.cancelled.wait(_PAUSE * attempt):
                raise _Cancelled
        return None

    def _try(self, jar: Jar) -> None:
        component = self._maven.project(jar.group, jar.artifact).at_version(jar.version)
        artifact = component.artifact(classifier=jar.classifier or "", packaging="jar")
        self.received[jar.name] = 0
        if artifact.cached_path:
            artifact.cached_path.unlink(missing_ok=True)  # the torso of an attempt before this one
        path = Path(artifact.resolve())
        if not is_good(path, jar):
            raise FileTrouble(
                f"{jar.name} was refused: what the Maven repository sent does not have the SHA-256 and size that "
                f"this version of streamcli asks for. Check {REPOSITORY_VARIABLE} and your network, then try again."
            )
        path.replace(self._folder / jar.name)
        self.received[jar.name] = jar.size

    @contextmanager
    def _count(self, name: str, _size: int) -> Iterator[Callable[[int], None]]:
        def update(count: int) -> None:
            if self.cancelled.is_set():
                raise _Cancelled
            self.received[name] = self.received.get(name, 0) + count

        yield update


def _no_network(jar: Jar, error: Exception) -> StreamcliError:
    if isinstance(error, requests.RequestException):
        what = "the Maven repository can't be reached"
    else:
        what = "the Maven repository does not have it"
    return Unreachable(
        f"{jar.name} could not be fetched: {what}. Check your network (or {REPOSITORY_VARIABLE}) and try again; "
        "what is there already is kept."
    )
