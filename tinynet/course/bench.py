"""One module, a student's, the library's or a twin, run on the arrays of an exercise; and what came out."""

import traceback
import types

import numpy as np

from tinynet.course.compare import same
from tinynet.course.exercise import NotDone


class Changed(Exception):
    """An array that belongs to somebody else was written to."""


class Outcome:
    """What one call gave: results {name: array}; or raised, the exception; changed: names of arrays written to."""

    def __init__(self, results=None, raised=None, changed=()):
        self.results, self.raised, self.changed = results or {}, raised, list(changed)

    def equals(self, other, names=None):
        """Whether both are the same to rounding. names: of the results that count; None: all, and how it ended."""
        if self.raised or other.raised:
            return describe(self.raised) == describe(other.raised)
        if names is None and (self.changed != other.changed or list(self.results) != list(other.results)):
            return False
        count = [name for name in other.results if names is None or name in names]  # without a bias there is no db
        return all(same(self.results.get(name), other.results[name]) for name in count)


def describe(error):
    """To compare two exceptions by. Where the recursion was too deep is chance."""
    return error and (type(error).__name__, "" if isinstance(error, RecursionError) else str(error))


def load(text, path):
    """The file as a module of its own."""
    module = types.ModuleType("answer")
    module.__file__ = str(path)
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


def at_line(error, path):
    """The exception in words, with the last line of the file at `path` that led to it."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"{path}, line {lines[-1].lineno}: " if lines else ""
    code = f"\n    {lines[-1].line}" if lines and lines[-1].line else ""
    return f"{where}{type(error).__name__}: {error}{code}"


def cotangents(ys):
    """A random one for each output, {name: array}: of y it is dy, and always the same."""
    draws = enumerate(ys.items(), start=100)
    return {f"d{name}": np.random.default_rng(i).standard_normal(y.shape).astype(y.dtype) for i, (name, y) in draws}


class Bench:
    """One module, run on the exercise's arrays. Remembers what came out."""

    def __init__(self, exercise, module):
        self.exercise, self.module, self.seen = exercise, module, {}

    def outcome(self, part, sizes, dtype=np.float64):
        key = part, tuple(sizes.items()), np.dtype(dtype).name
        if key not in self.seen:
            self.seen[key] = self.run(part, self.draw(sizes, dtype), sizes)
        return self.seen[key]

    def draw(self, sizes, dtype=np.float64):
        arrays = self.exercise.draw(np.random.default_rng(1), sizes)
        return {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in arrays.items()}

    def run(self, part, arrays, sizes):
        given = {name: a.copy() for name, a in arrays.items()}
        try:
            results = self.exercise.run(self.module, part, given, sizes)
        except NotImplementedError as error:
            if str(error) in self.exercise.holes:
                raise NotDone(f"not done yet: {error}") from None
            return Outcome(raised=error)
        except Changed as error:
            return Outcome(changed=error.args)
        except (Exception, SystemExit) as error:
            return Outcome(raised=error)
        changed = [name for name, a in arrays.items() if not np.array_equal(given[name], a, equal_nan=True)]
        return Outcome(results, changed=changed)
