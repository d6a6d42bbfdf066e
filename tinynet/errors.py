"""How a run ends when something is wrong: one exception, with one line for the user and an exit code."""


class RunError(Exception):
    """line: what came, what was expected, what to do. code: of the process; 2 for what the user can mend, else 1."""

    def __init__(self, line, code=2):
        super().__init__(line)
        self.code = code
