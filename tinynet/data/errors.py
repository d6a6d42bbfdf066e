"""Errors in the user's data, each reported in one clear line.

DataError is for the user to fix: a wrong folder, a broken archive, an argument that makes no sense. Its message says
what was given and what was expected, so a command line can print it and exit with code 2. ImageError is a single image
that cannot be read: a loader may skip it and continue.
"""

from tinynet.errors import RunError
from tinynet.files import printable


class DataError(RunError, ValueError):
    """Bad user data. The message is one line: what was given, what was expected, what to do.

    Names in it may contain anything, so what cannot be printed is escaped.
    """

    def __init__(self, line, code=2):
        super().__init__(printable(line), code)


class ImageError(DataError):
    """One image that cannot be read.

    path: str, its location. reason: str, one line, why it cannot be read.
    """

    def __init__(self, path, reason):
        self.path, self.reason = str(path), " ".join(str(reason).split())
        super().__init__(f"{self.path}: {self.reason}")

    def __reduce__(self):  # so that it can be sent back from another process
        return ImageError, (self.path, self.reason)
