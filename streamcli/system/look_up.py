"""Looks up a host's addresses, without keeping the program from ending."""

from __future__ import annotations

import asyncio
import socket
import threading

from streamcli.system.guard import post


async def addresses_of(host: str, port: int) -> list[str]:
    """Return a host's addresses. Raises OSError, and UnicodeError for what is no host name.

    A thread that is never joined does it: the program's end would wait for the loop's own look-up, and a name server
    can be silent for half a minute.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def tell(error: Exception | None, addresses: list[str]) -> None:
        if found.done():
            return
        if error:
            found.set_exception(error)
        else:
            found.set_result(addresses)

    def look_up() -> None:
        error: Exception | None = None
        addresses: list[str] = []
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except Exception as caught:
            error = caught
        post(loop, tell, error, addresses)

    threading.Thread(target=look_up, name="name-lookup", daemon=True).start()
    return await found
