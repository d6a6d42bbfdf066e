"""What goes wrong with users' data, each in one clear line.

DataError is the user's to mend (a wrong folder, a broken archive, an argument that makes no sense);
its message says what came and what was expected, so a command line can print it and exit with
code 2. ImageError is one picture that cannot be read: a loader may skip it and go on.
"""


class DataError(ValueError):
    """Bad user data. The message is one line: what came, what was expected, what to do."""


class ImageError(DataError):
    """One picture that cannot be read.

    path: str, where it lies. reason: str, one line, why it cannot be read.
    """

    def __init__(self, path, reason):
        self.path, self.reason = str(path), " ".join(str(reason).split())
        super().__init__(f"{self.path}: {self.reason}")

    def __reduce__(self):  # so that it survives the way back from another process
        return ImageError, (self.path, self.reason)
