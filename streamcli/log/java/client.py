"""Pravega's Java client: its JVM, its managers, and what its errors mean. The only module that names Java classes."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from streamcli.log.log_id import Denied
from streamcli.log.redaction import redacted
from streamcli.model.address import Controller, Login

# By default the client holds back what is appended while something is not acknowledged yet, for up to 40 ms.
_SETTINGS = {"PRAVEGA_MAX_BATCH_SIZE": "0"}
_MANAGERS_THREADS = 2  # of the client's executor
_WRITERS_THREADS = 1
_SIGNS = {
    "unusable": (  # a jar or this Java does not have what the client needs
        "ClassNotFoundException",
        "NoClassDefFoundError(?!: Could not initialize)",  # which may be for want of files or memory
        "UnsupportedClassVersionError",
        "ClassFormatError",
        "NoSuchMethodError",
        "Class \\S+ is not found",
    ),
    "password": ("UNAUTHENTICATED", "AuthenticationException"),
    "denied": ("PERMISSION_DENIED", "AuthorizationException", "InvalidTokenException"),
    "gone": (
        "NOT_FOUND",
        "NoSuchSegment",
        "StreamNotFound",
        "NoSuchStream",
        "SegmentSealedException",
        "NotFoundException",
        "DataNotFoundException",
    ),
    "other": ("SSL", "[Cc]ertificate"),  # whose text a person needs; a connection that fails so is UNAVAILABLE as well
    "sealed": ("is sealed",),
    "away": ("ConnectException", "finishConnect", "UNAVAILABLE", "ConnectionFailedException"),
}
_IMPL = "io.pravega.client"


def start_jvm(library: str, flags: Sequence[str], classpath: Sequence[str]) -> None:
    """Start the JVM in this process and silence it."""
    import jpype

    os.environ.update(_SETTINGS)  # the client reads them there
    jpype.startJVM(library, *flags, classpath=list(classpath), convertStrings=True, interrupt=False)
    nowhere = java("java.io.OutputStream").nullOutputStream()
    java("java.lang.System").setErr(java("java.io.PrintStream")(nowhere))
    java("java.util.logging.LogManager").getLogManager().reset()


def java(name: str) -> Any:
    """Return a Java class."""
    import jpype

    return jpype.JClass(name)


def forget_thread() -> None:
    """Let the JVM forget this thread, which is about to end."""
    java("java.lang.Thread").detach()


class Gone(Exception):
    """The stream is no more, or another one has its name now."""


class Manager:
    """The client for one controller: what opens streams, readers and writers."""

    def __init__(self, controller: Controller) -> None:
        self.config, self._controller = _config(controller), controller
        self.pool = self.make_pool(_MANAGERS_THREADS)
        builder = java(f"{_IMPL}.control.impl.ControllerImplConfig").builder().clientConfig(self.config)
        builder = builder.retryAttempts(3).initialBackoffMillis(10).backoffMultiple(5).maxBackoffMillis(1000)
        self.controller = java(f"{_IMPL}.control.impl.ControllerImpl")(
            builder.timeoutMillis(5000).build(), self.pool.getInternalExecutor()
        )

    def make_pool(self, threads: int = _WRITERS_THREADS) -> Any:
        """Return a new pool of connections."""
        executor = java("java.util.concurrent.ScheduledThreadPoolExecutor")(threads)
        executor.setRemoveOnCancelPolicy(True)
        executor.setExecuteExistingDelayedTasksAfterShutdownPolicy(False)
        factory = java(f"{_IMPL}.connection.impl.SocketConnectionFactoryImpl")(self.config, executor)
        if self._controller.store_port:
            factory = _detour(factory, self._controller.host, self._controller.store_port)
        return java(f"{_IMPL}.connection.impl.ConnectionPoolImpl")(self.config, factory)

    def close(self) -> None:
        """Close all connections."""
        with contextlib.suppress(Exception):
            self.controller.close()
        with contextlib.suppress(Exception):
            self.pool.close()


def calm(pool: Any) -> None:
    """End the tasks that look 50 times a second, for each connection, for events held back: there are none."""
    for task in pool.getInternalExecutor().getQueue().toArray():
        if "TimeoutBatch" in str(task):
            task.cancel(False)


class _Detour:
    """Connects to the one segment store at another address than it publishes (Pravega's ConnectionFactory)."""

    def __init__(self, factory: Any, host: str, port: int) -> None:
        self._factory = factory
        self._address = java("io.pravega.shared.protocol.netty.PravegaNodeUri")(host, port)

    def establishConnection(self, published: Any, processor: Any) -> Any:
        """Connect."""
        return self._factory.establishConnection(self._address, processor)

    def getInternalExecutor(self) -> Any:
        """Return the executor."""
        return self._factory.getInternalExecutor()

    def close(self) -> None:
        """Close it."""
        self._factory.close()


def _detour(factory: Any, host: str, port: int) -> Any:
    import jpype

    return jpype.JProxy(f"{_IMPL}.connection.impl.ConnectionFactory", inst=_Detour(factory, host, port))


class Managers:
    """One manager for each controller in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: dict[Controller, tuple[Manager, int]] = {}

    @contextlib.contextmanager
    def use(self, controller: Controller) -> Iterator[Manager]:
        """Lend the manager for ``controller``; with its last user it is closed."""
        with self._lock:
            manager, users = self._used.get(controller) or (Manager(controller), 0)
            self._used[controller] = (manager, users + 1)
        try:
            yield manager
        finally:
            with self._lock:
                manager, users = self._used.pop(controller)
                if users > 1:
                    self._used[controller] = (manager, users - 1)
            if users == 1:
                manager.close()


def _config(controller: Controller) -> Any:
    builder = java(f"{_IMPL}.ClientConfig").builder().controllerURI(java("java.net.URI").create(controller.url))
    builder = builder.connectTimeoutMilliSec(3000).maxConnectionsPerSegmentStore(1)
    if login := controller.login:
        builder = builder.credentials(
            java("io.pravega.shared.security.auth.DefaultCredentials")(login.password, login.user)
        )
    if controller.tls:
        builder = builder.trustStore(controller.ca or _certificates()).validateHostName(True)
    return builder.build()


def _certificates() -> str | None:
    import ssl

    return ssl.get_default_verify_paths().cafile


def kind(error: BaseException) -> str:
    """Return what an error means, as a FAILED frame says it."""
    if isinstance(error, Denied):
        return "denied"
    if isinstance(error, Gone):
        return "gone"
    text = " ".join(map(str, _chain(error)))
    # At the beginning of a name: a ClassNotFoundException is no stream that is not found.
    return next((kind for kind, signs in _SIGNS.items() if re.search(rf"\b({'|'.join(signs)})", text)), "other")


def first_line(error: BaseException, login: Login | None) -> str:
    """Return an error's text for a FAILED frame: one short line without passwords."""
    cause = _chain(error)[-1]
    text = str(cause).strip() or type(cause).__name__
    return redacted(text.splitlines()[0], login)[:300]


def is_a(error: BaseException, name: str) -> bool:
    """Whether an error, or one that caused it, is of the Java class ``name`` (without its package)."""
    return any(type(cause).__name__.rpartition(".")[2] == name for cause in _chain(error))


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and its Java causes."""
    chain = [error]
    while (cause := getattr(chain[-1], "getCause", lambda: None)()) is not None and len(chain) < 20:
        chain.append(cause)
    return chain
