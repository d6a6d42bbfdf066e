"""Files that are there whole or not at all, names of files as text, and the folder for what can be made again."""

import contextlib
import errno
import hashlib
import os
import stat
import sys
from pathlib import Path

import platformdirs


def cache_folder():
    """~/.cache/tinynet on Linux, ~/Library/Caches/tinynet on macOS; $XDG_CACHE_HOME/tinynet if that is set.

    It may not exist yet.
    """
    return platformdirs.user_cache_path("tinynet", appauthor=False)


def printable(name):
    """A name as text for messages, tables and figures: in one line, and in characters that stdout can encode.

    What is not, stands there as an escape sequence: \\n for a newline, \\xff for a byte that is not UTF-8. To read a
    file, keep the name as it is.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return "".join(map(_escaped, str(name))).encode(encoding, "backslashreplace").decode(encoding)


def _escaped(character):
    if 0xDC80 <= ord(character) <= 0xDCFF:  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character if character.isprintable() else ascii(character)[1:-1]


KINDS = {stat.S_IFIFO: "FIFO", stat.S_IFCHR: "device", stat.S_IFBLK: "device", stat.S_IFSOCK: "socket"}


def open_regular(path):
    """Open a file to read bytes. Raises OSError if it is a FIFO, whose opening would wait for a writer, or a device."""
    kind = KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
    if kind:
        raise OSError(errno.EINVAL, f"a {kind}, not a file", os.fspath(path))
    return open(path, "rb")


def _beside(path):
    """A temporary name, the same each time, so that what a killed process left is overwritten.

    Never longer than a file system allows, if it allows path's.
    """
    name = path.name
    if len(os.fsencode(name)) > 100:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return path.with_name(f".{name}.part")


@contextlib.contextmanager
def replacing(path, fsync=False):
    """Yield a temporary path beside `path` to write to; rename it to `path` once the block has succeeded.

    So `path` is always the old file or the new one, whole, even if the process is killed; if the block raises,
    the old one stays and the temporary file is removed. fsync: also after a power failure.
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        yield temporary
        if fsync:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error says more
            temporary.unlink()
        raise
    if fsync:
        with contextlib.suppress(OSError):  # not every file system can sync a folder
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
