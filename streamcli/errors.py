"""The errors that are shown to the user, each with its exit code.

StreamcliError            70  internal error
├── NothingFound           1  nothing was found
├── UsageError            64  wrong command line
├── InputError            65  the input can't be sent
├── NoSuchStream          66  the stream does not exist
├── Unreachable           69  no server answered in time
├── CannotCreate          73  a file or folder can't be created
├── FileTrouble           74  reading or writing a file failed, disk full
├── NotPermitted          77  permission denied, wrong password
├── Unusable              78  settings, platform or Java can't be used
└── Interrupted          130  the user interrupted it
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar


class StreamcliError(Exception):
    """An error whose text is shown to the user as it is: what happened and what to do."""

    exit_code: ClassVar[int] = 70


class NothingFound(StreamcliError):
    """Nothing was found."""

    exit_code = 1


class UsageError(StreamcliError):
    """The command line is wrong."""

    exit_code = 64


class InputError(StreamcliError):
    """The input of `send` can't be sent."""

    exit_code = 65


class NoSuchStream(StreamcliError):
    """The stream to read from does not exist."""

    exit_code = 66


class Unreachable(StreamcliError):
    """No server answered in time."""

    exit_code = 69


class CannotCreate(StreamcliError):
    """A file or folder can't be created."""

    exit_code = 73


class FileTrouble(StreamcliError):
    """Reading or writing a file failed, for example because the disk is full."""

    exit_code = 74


class NotPermitted(StreamcliError):
    """The server denied permission, or the password is wrong."""

    exit_code = 77


class Unusable(StreamcliError):
    """The settings are invalid, this platform is not supported, or Java can't be used."""

    exit_code = 78


class Interrupted(StreamcliError):
    """Interrupted."""

    exit_code = 130


def from_os_error(error: OSError, path: os.PathLike[str] | str) -> StreamcliError:
    """Translate a file system error at ``path`` into one with an exit code and a text for the user."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return FileTrouble(f"The disk is full: can't write {path}. Free some space and try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT):
        return CannotCreate(f"Can't create or write {path}: {reason}. Check who owns it and its permissions.")
    return FileTrouble(f"Reading or writing {path} failed: {reason}.")
