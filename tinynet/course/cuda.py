"""Exercises in CUDA, whose answers run on the emulator (docs/emulator.md): no GPU is needed.

The library's own launcher runs the answer's kernel in place of its own. So an exercise only says how to draw arrays for
given sizes, which launchers to call, and what NumPy gives. The modes of the emulator are most of the check: bounds and
alignment, races and memory that is not initialized, any order of the threads.
"""

import faulthandler
import functools
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np

from tinynet import emulator
from tinynet.course.compare import first_difference, same
from tinynet.course.exercise import Exercise, NotDone, Step, Wrong, replaced
from tinynet.course.program import RTOL, Program, twins
from tinynet.course.stub import heading
from tinynet.emulator.source import closing_bracket

NOT_DONE = "NotImplementedError: "
SANITIZE, RACECHECK = dict(sanitize=True), dict(racecheck=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class CudaExercise(Exercise):
    """parts: what the answer is asked for, in order, such as ("forward", "backward").

    launcher: the library's module that launches the kernels; settings: {constant of that module: its value here}.
    kept: {hole: how many lines of its body the student gets}. sizes, others: as in PythonExercise; not all of them a
    multiple of the block. draw(rng, sizes) -> {name: array}. run(part, arrays, sizes): calls launchers with arrays on
    the device, and returns {name: array}. expected(part, arrays, sizes): the same by NumPy. traffic(part, sizes) ->
    {(parameter of the kernel, "load" or "store"): how many elements, at most}; None: do not count.
    """

    seconds = 60  # compiling takes some of them
    launcher: str
    parts: tuple
    sizes: dict
    draw: Callable
    run: Callable
    expected: Callable
    others: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    kept: dict = field(default_factory=dict)
    traffic: Callable | None = None

    def stub(self, path):
        text = replaced(self.source(), self.hide)
        for hole in self.holes:
            start, end = body(text, hole)
            lines = text[start:end].splitlines()[: 1 + self.kept.get(hole, 0)]
            lines += [f'    assert(!"{NOT_DONE}{hole}");  // yours', "}"]
            text = text[:start] + "\n".join(lines) + text[end:]
        return "\n".join([*heading(self, path, "//"), text])

    def steps(self, text, path):
        answer, missing = CudaAnswer(self, text, str(path)), lacking()
        without = f" (no {' nor '.join(missing)}: see docs/emulator.md)" if missing else ""
        yield Step("", f"compiles{without}", answer.compiles)
        for part in self.parts:
            yield Step(part, "runs, in bounds", partial(answer.ends_well, part, answer.safely))
            if "racecheck" not in missing:
                yield Step(part, "no race", partial(answer.ends_well, part, RACECHECK))
            yield Step(part, "same as NumPy", partial(answer.same_as_numpy, part, answer.every[:1], answer.safely))
            yield Step(part, "other sizes", partial(answer.same_as_numpy, part, answer.every[1:], answer.safely))
            yield Step(part, "in any order", partial(answer.in_any_order, part))
            if "racecheck" not in missing:
                yield Step(part, "all variables set", partial(answer.same_as_numpy, part, answer.every, RACECHECK))
                if self.traffic:
                    yield Step(part, "loads and stores", partial(answer.loads_and_stores, part))


def body(text, function):
    """(start, end) of the function's body in the text of a .cu file, with its braces."""
    for found in re.finditer(rf"\b{function}\s*\(", text):
        end = closing_bracket(text, found.end() - 1)
        opening = end and re.compile(r"\s*\{").match(text, end)
        if opening:
            return opening.end() - 1, closing_bracket(text, opening.end() - 1)
    raise LookupError(f"no function {function} in this text")


@functools.cache
def lacking():
    """The modes of the emulator that the compiler here is not able to compile for."""
    found = []
    for name in ("sanitize", "racecheck"):
        try:
            with emulator.mode(**{name: True}):
                emulator.xp.RawKernel('extern "C" __global__ void nothing() {}', "nothing")((1,), (1,), ())
        except RuntimeError:
            found.append(name)
    return found


class CudaAnswer:
    """The answer `text`, from the file at `path`; each method is a step, and raises Wrong or NotDone."""

    def __init__(self, exercise, text, path):
        self.exercise, self.path = exercise, path
        self.mine = Program(exercise, text, path)
        self.safely = {} if "sanitize" in lacking() else SANITIZE  # which runs it in a process of its own
        self.modes = {part: [] for part in exercise.parts}  # in which it has ended well
        self.every = [exercise.sizes, *({**exercise.sizes, **change} for change in exercise.others.values())]

    def compiles(self):
        try:
            for part in self.exercise.parts:
                self.mine.compile(part, self.exercise.sizes, self.safely)
        except emulator.xp.cuda.compiler.CompileException as error:
            lines = str(error).splitlines()
            raise Wrong(next((line for line in lines if "error:" in line), lines[0])) from None
        except AttributeError as error:
            raise Wrong(f"{self.path}: {error}") from None

    def ends_well(self, part, mode):
        for sizes in self.every:
            error = self.mine.outcome(part, sizes, mode).error
            if NOT_DONE in error:
                raise NotDone("not done yet: " + error.partition(NOT_DONE)[2].partition('"')[0])
            if error:
                self.explain(part, mode, [error.replace("\n    ", " "), for_sizes(sizes)])
        self.modes[part].append(mode)

    def same_as_numpy(self, part, every, mode):
        for sizes in every:
            results = self.mine.outcome(part, sizes, mode).results
            for name, a in self.expected(part, sizes).items():
                if not same(results[name], a, RTOL):
                    lines = [first_difference(name, results[name], a, RTOL), for_sizes(sizes)]
                    if mode == RACECHECK:
                        lines.append("It was right before: a variable that is read before it is set is 0 by luck only.")
                    self.explain(part, mode, lines)

    def in_any_order(self, part):
        for seed in (1, 2, 3):
            mode = {**self.safely, "shuffle": seed}
            for sizes in self.every:
                first, other = (self.mine.outcome(part, sizes, m) for m in (self.safely, mode))
                if other.error:
                    self.explain(part, mode, [other.error, for_sizes(sizes)])
                for name, a in first.results.items():
                    if not same(other.results[name], a, RTOL):
                        what = "the result depends on the order in which the threads run: "
                        what += first_difference(name, other.results[name], a, RTOL)
                        self.explain(part, mode, [what, for_sizes(sizes)])

    def loads_and_stores(self, part):
        for sizes in self.every:
            counted, most = self.mine.outcome(part, sizes, RACECHECK).counted, self.exercise.traffic(part, sizes)
            for (name, what), n in counted.items():
                allowed = most.get((name, what), 0)
                if n > allowed:
                    line = f"right, but there are {n} {what}s of {name}; the head of the file says {allowed}"
                    self.explain(part, RACECHECK, [line, for_sizes(sizes)])

    def expected(self, part, sizes):
        return self.exercise.expected(part, self.exercise.draw(np.random.default_rng(1), sizes), sizes)

    def explain(self, part, mode, lines):
        """Raise Wrong, with the known mistake that has the same outcomes in this mode and those before, if any has."""
        if not self.safely:
            raise Wrong(*lines)  # some known mistakes would crash Python
        faulthandler.cancel_dump_traceback_later()  # the answer has ended; compiling the twins may take a minute, once
        modes = [*self.modes[part], mode]
        with emulator.mode(**modes[0]), ThreadPoolExecutor() as pool:
            jobs = product((program for _, program in twins(self.exercise)), self.mine.launched[part])
            list(pool.map(lambda job: job[0].kernel(*job[1]), jobs))
        for twin, program in twins(self.exercise):
            if all(self.does_as(program, part, mode) for mode in modes):
                raise Wrong(*lines, hint=twin.hint, certain=True, see=twin.see)
        raise Wrong(*lines)

    def does_as(self, program, part, mode):
        """Whether the program has the same outcomes as the answer, up to the first error."""
        for sizes in self.every:
            mine, other = (one.outcome(part, sizes, mode) for one in (self.mine, program))
            if not mine.equals(other):
                return False
            if mine.error:
                break
        return True


def for_sizes(sizes):
    return f"for {', '.join(f'{key}={value}' for key, value in sizes.items())}"
