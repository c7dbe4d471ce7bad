"""A file that replaces another one atomically."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


@contextmanager
def replacement(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write, which replaces ``path`` at the end of the block.

    Until then, ``path`` does not change: after an exception, a crash or a full disk,
    the old file remains. The new one keeps its permissions. For a symbolic link, the
    target is replaced. A device or a pipe cannot be replaced, and is written to
    directly. A process that is killed in between leaves ``.optifunc-*.tmp`` in the
    folder.
    """
    target = os.path.realpath(path)
    mode = None
    if os.path.exists(target):
        mode = os.stat(target).st_mode
        # "wb" rejects a folder, "r+b" a write-protected file.
        with open(target, "r+b" if stat.S_ISREG(mode) else "wb") as file:
            if not stat.S_ISREG(mode):
                yield file
                return
    folder = os.path.dirname(target)
    os.stat(folder)
    # In the same folder, because a file can replace another only in one file system.
    temporary = os.path.join(folder, f".optifunc-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _synchronize_folder(folder)


def _synchronize_folder(folder: str) -> None:
    """Write the new name to the disk, if the system supports it."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems do not synchronize folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
