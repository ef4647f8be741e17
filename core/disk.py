"""What a disk can refuse, said in one line with what to do."""

import errno
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from wisen.core.errors import StoreError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})  # never a mistake of the code that writes


@contextmanager
def disk_faults(doing: str, *, only: Collection[int] | None = None) -> Iterator[None]:
    """Turns an `OSError` of the block, or what a library makes of one, into `StoreError("<doing>: <reason>", hint)`;
    with `only`, one of these numbers."""
    try:
        yield
    except Exception as error:
        number = _number(error)
        if number is None or (only is not None and number not in only):
            raise
        reason = os.strerror(number) if number else str(error)
        if isinstance(error, OSError) and error.filename is not None and only is not None:
            reason += f": {error.filename}"
        raise StoreError(f"{doing}: {reason}", _HINTS.get(number, "")) from error


def _number(error: Exception) -> int | None:
    """The system's number of the error, 0 for an `OSError` without one, None for another error."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"\(os error (\d+)\)", str(error))  # as libraries written in Rust say it
    return int(found[1]) if found else None


_HINTS = {
    errno.ENOSYS: "this file system has no locks: choose a local folder",
    errno.EACCES: "mend the permissions of the folder, or choose another",
    errno.EPERM: "mend the permissions of the folder, or choose another",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOSPC: "the disk is full: free some space; the same command goes on",
    errno.EDQUOT: "your disk quota is used up: free some space; the same command goes on",
    errno.EFBIG: "a file may not grow that large here (ulimit -f): raise the limit; the same command goes on",
    errno.EIO: "the disk is failing: choose another folder",
    errno.ENOTDIR: "a part of the path is a file: choose another folder",
    errno.EEXIST: "a file is in the way: move it, or choose another folder",
    errno.ENOENT: "choose a folder that can be made",
}
