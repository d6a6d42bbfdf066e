"""Where generated and downloaded data sets are kept, and how a folder appears there all at once."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def cache_folder():
    """$XDG_CACHE_HOME/tinynet, or ~/.cache/tinynet. It need not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tinynet"


@contextlib.contextmanager
def alone_in(folder):
    """One process at a time: ranks that start together must not append to one file. Others wait here."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def whole_folder(path):
    """Gives a new, empty folder to fill; when the block ends well, renames it to path.

    So path is never half filled, even if the process is killed. If another process has made path in
    the meantime, that one stays. If the block raises, what it wrote is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    outer = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        inner = outer / path.name  # mkdtemp's own folder is private; this one has usual permissions
        inner.mkdir()
        yield inner
        try:
            inner.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(outer, ignore_errors=True)
