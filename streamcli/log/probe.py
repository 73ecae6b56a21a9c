"""Checks whether a Pravega controller answers and accepts us, without the client library, which freezes for a minute.

A controller speaks gRPC, so HTTP/2. A port that accepts but stays silent is a black hole or a stopped process (the
kernel accepts on its behalf); one that answers otherwise is another service. Account, right and certificate are checked
here, because the library retries a wrong one for 61 s and holds the interpreter's lock meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import AsyncIterator
from enum import Enum

from streamcli.log.token_call import DENIED, UNAUTHENTICATED, Stranger, ask
from streamcli.model.address import Controller, Stream
from streamcli.system.look_up import addresses_of

# OpenSSL's error codes for certificates.
_OTHER_HOST, _OUT_OF_DATE = (62, 64), (9, 10)


class Answer(Enum):
    """The result of a probe; the value completes the sentence "the server …"."""

    WELL = "answers"
    REFUSED = "is not there: nobody listens on that port"
    SILENT = "does not answer"
    STRANGER = "is no Pravega controller: something else listens there"
    UNKNOWN_HOST = "can't be found: its host name is unknown"
    UNREACHABLE = "can't be reached over the network"
    NO_ACCOUNT = (
        "asks for an account: set STREAMCLI_ACCOUNT and STREAMCLI_PASSWORD, or name a login_file in the settings"
    )
    WRONG_ACCOUNT = "does not accept this account with this password"
    NO_RIGHT = "does not let this account use the stream"
    WANTS_TLS = "speaks TLS only: its URL begins with tls://"
    NO_TLS = "speaks no TLS, or none that fits: perhaps its URL begins with tcp://"
    UNTRUSTED = "shows a certificate that nobody we trust has signed: STREAMCLI_CA names the file of its authority"
    OTHER_HOST = "shows a certificate for another host name"
    OUT_OF_DATE = "shows a certificate that is out of date, or this machine's clock is wrong"

    @property
    def final(self) -> bool:
        """Whether retrying is useless: the user has to change something first."""
        return self in _FINAL


_FINAL = frozenset(Answer) - {
    Answer.WELL,
    Answer.REFUSED,
    Answer.SILENT,
    Answer.STRANGER,
    Answer.UNKNOWN_HOST,
    Answer.UNREACHABLE,
}


def worded(answer: Answer, controller: Controller, stream: Stream) -> str:
    """Describe the problem as a sentence without its full stop; the password is not in it."""
    account = f"the account {controller.login.user!r}" if controller.login else "anybody without an account"
    if answer is Answer.NO_RIGHT:
        needs = f"READ_UPDATE on prn::/scope:{stream.scope}/stream:{stream.stream}"
        return f"the server does not let {account} use the stream {stream}: that needs {needs}"
    if answer is Answer.WRONG_ACCOUNT:
        return f"the server does not accept {account} with this password"
    return f"the server {answer.value}"


async def probe(controller: Controller, stream: Stream, timeout: float) -> Answer:
    """Check whether ``stream`` of ``controller`` can be used, within ``timeout`` seconds; a bad server never raises."""
    try:
        return await asyncio.wait_for(_ask(controller, stream), timeout)
    except (asyncio.TimeoutError, TimeoutError):
        return Answer.SILENT
    except ConnectionRefusedError:
        return Answer.REFUSED
    except socket.gaierror:
        return Answer.UNKNOWN_HOST
    except Stranger:
        return Answer.STRANGER
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _OTHER_HOST:
            return Answer.OTHER_HOST
        return Answer.OUT_OF_DATE if error.verify_code in _OUT_OF_DATE else Answer.UNTRUSTED
    except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLEOFError):
        return Answer.SILENT
    except ssl.SSLError:
        return Answer.NO_TLS
    except OSError:
        return Answer.UNREACHABLE
    except UnicodeError:
        return Answer.UNKNOWN_HOST  # not a valid host name


async def _ask(controller: Controller, stream: Stream) -> Answer:
    addresses = await addresses_of(controller.host, controller.port)
    try:
        async with _connected(addresses, controller, _trusting(controller.ca) if controller.tls else None) as pipes:
            status = await ask(controller, stream, *pipes)
    except (ConnectionError, asyncio.IncompleteReadError):
        # A TLS server closes plain connections.
        if controller.tls or not await _speaks_tls(addresses, controller):
            raise
        return Answer.WANTS_TLS
    if status == UNAUTHENTICATED:
        return Answer.WRONG_ACCOUNT if controller.login else Answer.NO_ACCOUNT
    return Answer.NO_RIGHT if status == DENIED else Answer.WELL


async def _speaks_tls(addresses: list[str], controller: Controller) -> bool:
    """Return whether a TLS handshake succeeds. Nothing is sent over it, so the peer's identity does not matter."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        async with _connected(addresses, controller, anybody):
            return True
    except OSError:
        return False


@functools.cache
def _trusting(ca: str | None) -> ssl.SSLContext:
    # Cached: reading the system's certificates takes 25 ms, in which no key is answered.
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    return context


@contextlib.asynccontextmanager
async def _connected(
    addresses: list[str], controller: Controller, tls: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to the first of ``addresses`` that accepts; raises the error of the last one."""
    name = controller.host if tls else None
    for address in addresses:
        try:
            reader, writer = await asyncio.open_connection(address, controller.port, ssl=tls, server_hostname=name)
            break
        except OSError as error:
            if address == addresses[-1] or isinstance(error, ssl.SSLError):
                raise
    try:
        yield reader, writer
    finally:
        if tls:
            writer.transport.abort()  # a clean shutdown would wait for the server's
        else:
            writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
