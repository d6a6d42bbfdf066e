"""How a run ends when something is wrong: one exception, with one line for the user and an exit code."""


class RunError(Exception):
    """line: what came, what was expected, what to do. code: 2 for what the user can fix, 1 for other failures; 0 or
    128 + signal for a run that was asked to stop."""

    def __init__(self, line, code=2):
        super().__init__(line)
        self.code = code
