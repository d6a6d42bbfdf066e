"""Signals that ask a run to stop: noted when they come, obeyed at the end of a step, by all ranks at the same one."""

import contextlib
import signal


class Interrupts:
    """name: of the first signal that came to any rank, as of the last sync(), such as SIGTERM; else None.

    exit_code: what a process ends with that obeys it; 0 if there was none.
    """

    def __init__(self, ranks):
        self.ranks, self.received, self.name, self.exit_code = ranks, [], None, 0

    @contextlib.contextmanager
    def listening(self):
        """While the run goes on. Before and after, signals do what they always do."""
        numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        before = {number: signal.signal(number, self.note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def note(self, number, frame):
        self.received.append(number)
        signal.signal(number, signal.SIG_DFL)  # a second one of its kind ends the process at once

    def sync(self, count):
        """[the count of rank 0, of rank 1, ...]. What one rank has received counts for all from here on."""
        everyone = self.ranks.all_gather_object([count, *self.received])
        for number in (number for _, *numbers in everyone for number in numbers[:1]):
            if self.name is None:
                self.name, self.exit_code = signal.Signals(number).name, 128 + number
        return [count for count, *_ in everyone]
