"""Removes passwords from the client library's output: its error texts quote the header that holds the account.

Every text of a worker passes here, before it leaves the worker or before its standard error reaches the log.
"""

from __future__ import annotations

import base64
import json
import re

from streamcli.model.address import Login

HIDDEN = "***"
# Also secrets that are not in our login, such as the tokens that the server issues for an account.
_CREDENTIALS = re.compile(r"\b(Basic|Bearer) [\w+/.~-]+=*|\beyJ[\w-]+\.[\w-]+\.[\w-]+", re.IGNORECASE)


def redacted(text: str, login: Login | None) -> str:
    """Return ``text`` without the password of ``login``, plain or encoded, and without any other credentials."""
    for secret in _forms(login) if login else ():
        text = text.replace(secret, HIDDEN)
    return _CREDENTIALS.sub(HIDDEN, text)


def _forms(login: Login) -> list[str]:
    alone = base64.b64encode(login.password.encode()).decode()
    plain = [login.password, json.dumps(login.password)[1:-1], json.dumps(login.password, ensure_ascii=False)[1:-1]]
    return [form for form in (login.basic, login.basic.rstrip("="), alone, *plain) if form]
