"""How generated and downloaded data sets are added to the cache: by one process at a time, and all or nothing."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def locked(folder):
    """Let in one process at a time; others wait. Ranks that start together must not append to the same file."""
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
def creating(path):
    """Yield a new, empty folder to fill; rename it to path once the block has succeeded.

    So path is never half filled, even if the process is killed. If another process has created path in the meantime,
    that one stays. If the block raises, what it wrote is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    outer = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        inner = outer / path.name  # mkdtemp's own folder is private; this one gets the usual permissions
        inner.mkdir()
        yield inner
        try:
            inner.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(outer, ignore_errors=True)
