"""Files that are there whole or not at all, and the folder for what can be made or downloaded again."""

import contextlib
import os
from pathlib import Path

import platformdirs


def cache_folder():
    """~/.cache/tinynet on Linux, ~/Library/Caches/tinynet on macOS; $XDG_CACHE_HOME/tinynet if that is set.

    It may not exist yet.
    """
    return platformdirs.user_cache_path("tinynet", appauthor=False)


@contextlib.contextmanager
def replacing(path, fsync=False):
    """Yield a temporary path beside `path` to write to; rename it to `path` once the block has succeeded.

    So `path` is always the old file or the new one, whole, even if the process is killed; if the block raises,
    the old one stays and the temporary file is removed. fsync: also after a power failure.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")  # one name: what a killed process left is overwritten
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
