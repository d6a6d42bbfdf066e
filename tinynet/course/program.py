"""One .cu file, run by the library's own launchers on the emulator; and what came out."""

import functools
import importlib
import re
from contextlib import ExitStack, contextmanager

import numpy as np

from tinynet import backend, emulator
from tinynet.course.compare import same
from tinynet.kernels.loader import FOLDER

DEVICE, RTOL = "emu:0", 1e-4


class Program:
    """One .cu file, a student's, the library's or a twin, run by the library's launchers. Remembers what came out."""

    def __init__(self, exercise, text, path):
        self.exercise, self.text, self.path = exercise, text, path
        self.kernel = functools.cache(self.kernel)
        self.outcome_of = functools.cache(self.outcome_of)
        self.launched = {part: set() for part in exercise.parts}  # (name of a kernel, -D options)

    def kernel(self, name, defines):
        """Compiled for the current mode of the emulator."""
        code = f'typedef float T;\n#line 1 "{self.path}"\n{self.text}'
        options = (*(f"-D{key}={value}" for key, value in defines), f"-I{FOLDER}")
        return emulator.xp.RawModule(code=code, options=options).get_function(name)

    def compile(self, part, sizes, mode):
        """Compiles what the part launches for these sizes.

        Raises CompileException, or AttributeError if there is no such kernel.
        """
        with self.in_place(part, launch=False), emulator.mode(**mode):
            self.run(part, sizes)

    def outcome(self, part, sizes, mode):
        return self.outcome_of(part, tuple(sizes.items()), tuple(mode.items()))

    def outcome_of(self, part, sizes, mode):
        with self.in_place(part), emulator.mode(**dict(mode)), emulator.accesses() as counted:
            try:
                results = self.run(part, dict(sizes))
            except emulator.KernelError as error:
                return Outcome(error=str(error))
            return Outcome({name: backend.to_device(a, "cpu") for name, a in results.items()}, counted)

    def run(self, part, sizes):
        arrays = self.exercise.draw(np.random.default_rng(1), sizes)
        return self.exercise.run(part, {name: backend.to_device(a, DEVICE) for name, a in arrays.items()}, sizes)

    @contextmanager
    def in_place(self, part, launch=True):
        """While this lasts, the library's launchers launch this program's kernels, or only compile them."""

        def kernel(like, file, name, **defines):
            wanted = name, tuple(defines.items())
            self.launched[part].add(wanted)
            compiled = self.kernel(*wanted)
            return compiled if launch else lambda *arguments: None

        launcher = importlib.import_module(self.exercise.launcher)
        ours = {**self.exercise.settings, "kernel": kernel}
        with ExitStack() as back:
            for name, value in ours.items():
                back.callback(setattr, launcher, name, getattr(launcher, name))
                setattr(launcher, name, value)
            yield


class Outcome:
    """What one launch gave: results {name: array} and what they took {(parameter, "load"): elements}; or an error."""

    def __init__(self, results=None, counted=None, error=""):
        self.results, self.counted, self.error = results or {}, counted, error

    def equals(self, other):
        """The same numbers and counts, or the same error but for its lines and for where the heap's blocks lie."""
        errors = [re.sub(r"\S+:\d+|\d+ bytes (past|before).*", "", outcome.error) for outcome in (self, other)]
        return (
            errors[0] == errors[1]
            and self.counted == other.counted
            and all(same(a, other.results[name], RTOL) for name, a in self.results.items())
        )


@functools.cache
def twins(exercise):
    """[(Twin, its Program)]"""
    return [(twin, Program(exercise, twin.source(exercise.source()), "twin.cu")) for twin in exercise.twins]
