"""Every error a person can meet: one sentence each, and the exit code that goes with it.

StreamcliError            70  our fault
├── NothingFound           1  there is nothing of what was asked for
├── UsageError            64  the command line is wrong
├── InputError            65  the input can't be sent
├── NoSuchStream          66  the stream does not exist
├── Unreachable           69  no server in time
├── CannotCreate          73  a file or folder can't be made
├── FileTrouble           74  reading or writing a file failed, disk full
├── NotPermitted          77  no right, wrong password
├── Unusable              78  settings or platform can't be used
└── Interrupted          130  the person broke it off
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar


class StreamcliError(Exception):
    """An error whose text is a whole sentence for the person: what happened and what to do."""

    exit_code: ClassVar[int] = 70


class NothingFound(StreamcliError):
    """There is nothing of what was asked for."""

    exit_code = 1


class UsageError(StreamcliError):
    """The command line is wrong."""

    exit_code = 64


class InputError(StreamcliError):
    """What was given to send can't be sent."""

    exit_code = 65


class NoSuchStream(StreamcliError):
    """The stream to read from does not exist."""

    exit_code = 66


class Unreachable(StreamcliError):
    """No server answered in time."""

    exit_code = 69


class CannotCreate(StreamcliError):
    """A file or folder can't be made."""

    exit_code = 73


class FileTrouble(StreamcliError):
    """Reading or writing a file failed, for example because the disk is full."""

    exit_code = 74


class NotPermitted(StreamcliError):
    """The server does not let this user do that, or the password is wrong."""

    exit_code = 77


class Unusable(StreamcliError):
    """The settings or this platform can't be used."""

    exit_code = 78


class Interrupted(StreamcliError):
    """Interrupted."""

    exit_code = 130


def from_os_error(error: OSError, path: os.PathLike[str] | str) -> StreamcliError:
    """Word a failure of the file system at ``path`` for the person."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return FileTrouble(f"The disk is full: {path} can't be written. Free some space and try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT):
        return CannotCreate(f"Can't make or write {path}: {reason}. Check who owns it and its permissions.")
    return FileTrouble(f"Reading or writing {path} failed: {reason}.")
