"""Downloads jars from a Maven repository, several at a time; each is verified before it gets its final name."""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from streamcli.errors import FileTrouble, StreamcliError, Unreachable, Unusable, from_os_error
from streamcli.java.jar_lock import Jar
from streamcli.java.progress import Progress

# Maven Central. In pieces, because no file of this project spells out a registry's host.
REPOSITORY = "https://" + ".".join(("repo", "maven", "apache", "org")) + "/maven2"
REPOSITORY_VARIABLE = "STREAMCLI_MAVEN_URL"
_CERTIFICATES_VARIABLE = "REQUESTS_CA_BUNDLE"  # in common use beside SSL_CERT_FILE, which OpenSSL reads itself
_THREADS = 8
_ATTEMPTS = 3
_PAUSE = 0.5  # seconds before the second attempt; the third waits twice as long
_TIMEOUT = 10  # seconds without a byte
_REDRAW = 0.2  # seconds
_ENDS_WITHIN = 0.5  # seconds to wait for threads at the end
_BLOCK = 1 << 16  # bytes


class _Cancelled(Exception):
    """The download was cancelled; ends a thread at its next block."""


class _Failed(Exception):
    """One attempt failed on the network; the text gives the reason, for the user."""


class _Readable(Protocol):
    def read(self, size: int) -> bytes: ...


def fetch(
    missing: list[Jar],
    partial: Path,
    folder: Path,
    progress: Progress,
    already: int = 0,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Download the ``missing`` jars into ``folder``, through ``partial`` (deleted by the caller).

    ``already`` bytes were present before and count as done. Raises Unreachable, FileTrouble or CannotCreate for the
    first jar that fails; KeyboardInterrupt passes at once. Finished jars stay in both cases.
    """
    job = _Job(partial, folder)
    for jar in missing:
        job.todo.put(jar)
    total = already + sum(jar.size for jar in missing)
    # Daemons, not a pool: a pool's threads are joined at exit, and Ctrl-C would wait for a stalled connection.
    threads = [threading.Thread(target=job.work, daemon=True) for _ in range(min(_THREADS, len(missing)))]
    for thread in threads:
        thread.start()
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
        # A thread that computes while the interpreter ends can crash it; one that waits for the network can't.
        end = now() + _ENDS_WITHIN
        for thread in threads:
            thread.join(max(0.0, end - now()))


class _Job:
    """The state shared by the downloading threads."""

    def __init__(self, partial: Path, folder: Path) -> None:
        self.todo: queue.SimpleQueue[Jar] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self.cancelled = threading.Event()
        self.received: dict[str, int] = {}  # bytes by file name
        self._partial, self._folder = partial, folder
        self._trusted = _trusted(os.environ.get(_CERTIFICATES_VARIABLE) or None)
        self._repository = (os.environ.get(REPOSITORY_VARIABLE) or REPOSITORY).rstrip("/")

    def work(self) -> None:
        """Download jars until none is left; report each to ``results``."""
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
            except _Failed as error:
                if attempt == _ATTEMPTS:
                    raise _no_network(jar, str(error)) from error
            except OSError as error:
                raise from_os_error(error, self._folder / jar.name) from error
            if self.cancelled.wait(_PAUSE * attempt):
                raise _Cancelled
        return None

    def _try(self, jar: Jar) -> None:
        path, digest = self._partial / jar.name, hashlib.sha256()
        self.received[jar.name] = 0
        with self._open(jar) as answer, path.open("wb") as file:
            while block := _read(answer):
                if self.cancelled.is_set():
                    raise _Cancelled
                file.write(block)
                digest.update(block)
                self.received[jar.name] += len(block)
                if self.received[jar.name] > jar.size:
                    break
        if self.received[jar.name] < jar.size:
            raise _Failed("the connection was cut")
        if self.received[jar.name] > jar.size or digest.hexdigest() != jar.sha256:
            raise FileTrouble(
                f"{jar.name} was refused: what the Maven repository sent does not have the SHA-256 and size that "
                f"this version of streamcli asks for. Check {REPOSITORY_VARIABLE} and your network, then try again."
            )
        path.replace(self._folder / jar.name)

    def _open(self, jar: Jar) -> http.client.HTTPResponse:
        url = "/".join((self._repository, *jar.group.split("."), jar.artifact, jar.version, jar.name))
        try:
            answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=_TIMEOUT, context=self._trusted)
        except urllib.error.HTTPError as error:
            error.close()
            missing = error.code == http.HTTPStatus.NOT_FOUND
            what = "does not have it" if missing else f"answers with {error.code}"
            raise _Failed(f"the Maven repository {what}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unreachable(error) from error
        return answer


def _trusted(file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        raise Unusable(
            f"The certificates in {file} can't be read: {error.strerror}. {_CERTIFICATES_VARIABLE} names that file."
        ) from error


def _read(answer: _Readable) -> bytes:
    try:
        return answer.read(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> _Failed:
    cause = getattr(error, "reason", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _Failed("the Maven repository's certificate can't be verified (SSL_CERT_FILE names the trusted ones)")
    return _Failed("the Maven repository can't be reached")


def _no_network(jar: Jar, why: str) -> StreamcliError:
    return Unreachable(
        f"{jar.name} could not be fetched: {why}. Check your network (or {REPOSITORY_VARIABLE}) and try again; "
        "what is there already is kept."
    )
