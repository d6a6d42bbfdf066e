"""Exercises written in Python, whose answers are compared as arrays: with the library's own file, and with loops.

An exercise says how to draw arrays for given sizes and how to run the code on them; everything else follows. Sizes are
what the shape vocabulary names (N, C, H, W, ...) and hyper-parameters (stride, p, ...), all in one dict.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from tinynet.autograd import Tensor
from tinynet.course.answer import Answer
from tinynet.course.bench import Changed, cotangents
from tinynet.course.exercise import Exercise, Step
from tinynet.course.stub import python_stub


@dataclass(frozen=True)
class Hand:
    """An example done by hand, on the page if it has one.

    arrays: inputs, and dy; expected: results by name; sizes: those that differ from the usual ones; words: lines that
    a message has in place of the arrays.
    """

    arrays: dict
    expected: dict
    sizes: dict = field(default_factory=dict)
    words: tuple = ()


@dataclass(frozen=True)
class Simpler:
    """A simplification that may make a wrong answer right, which says where the mistake is.

    what: as in "right with {what}". change: the sizes that differ, or a function of the sizes that gives them.
    """

    what: str
    change: object
    hint: str = ""

    def of(self, sizes):
        return {**sizes, **(self.change(sizes) if callable(self.change) else self.change)}


@dataclass(frozen=True, kw_only=True, eq=False)
class PythonExercise(Exercise):
    """parts: what the answer is asked for, in order, such as ("forward", "backward"): each has steps of its own.

    sizes: the usual ones, all different, and so that every term counts; smallest: the least value of each;
    others: {label: sizes that differ from the usual ones}. draw(rng, sizes) -> {name: array}.
    run(module, part, arrays, sizes) -> {name: array}, where arrays may hold "dy". axes: {name of a result: its axes,
    a letter each}. sentences: {name of a result: what is wrong with it, where its numbers say nothing to a reader}.
    loops(arrays, sizes) -> the results of the first part, written as loops. simpler: Simpler ones.
    slopes: the part whose results are measured by gradcheck, which calls call(module, tensors, sizes) again and again;
    small: sizes for that, which differ from the usual ones.
    """

    parts: tuple
    sizes: dict
    smallest: dict
    draw: Callable
    run: Callable
    hand: Hand
    others: dict = field(default_factory=dict)
    axes: dict = field(default_factory=dict)
    sentences: dict = field(default_factory=dict)
    loops: Callable | None = None
    simpler: tuple = ()
    slopes: str = ""
    small: dict = field(default_factory=dict)
    call: Callable | None = None
    in_float32: bool = True

    def stub(self, path):
        return python_stub(self, path)

    def steps(self, text, path):
        answer = Answer(self, text, path)
        yield Step("", "loads", answer.loads)
        for part in self.parts:
            yield Step(part, "runs", partial(answer.runs, part))
            yield Step(part, "inputs unchanged", partial(answer.inputs_unchanged, part))
            yield Step(part, "shape and dtype", partial(answer.shapes, part))
            yield Step(part, "example by hand", partial(answer.by_hand, part))
            if self.loops and part == self.parts[0]:
                yield Step(part, "same as loops", partial(answer.same_as_loops, part))
            if part == self.slopes:
                yield Step(part, "slopes", answer.measured_slopes)
            yield Step(part, "other sizes", partial(answer.other_sizes, part))
            if self.in_float32:
                yield Step(part, "float32", partial(answer.float32, part))
            yield Step(part, "twice", partial(answer.twice, part))


def layer(call, **fields):
    """The PythonExercise of an operation. call(module, a, sizes) -> its output, a tensor, or several.

    a: {name: tensor}, or an array for those that have no gradient (integers). Results are y (or y0, y1, ...) in the
    part "forward", and dx for each tensor x in the part "backward", for a random cotangent.
    """

    def run(module, part, arrays, sizes):
        inputs = {name: as_input(a) for name, a in arrays.items() if not name.startswith("d")}
        ys = call(module, inputs, sizes)
        ys = {f"y{i}": y for i, y in enumerate(ys)} if isinstance(ys, list) else {"y": ys}
        if part == "forward":
            return {name: y.data for name, y in ys.items()}
        before, dys = {name: y.data.copy() for name, y in ys.items()}, cotangents(ys) | arrays
        loss = 0
        for name, y in ys.items():
            loss = loss + (y * Tensor(dys[f"d{name}"])).sum()
        loss.backward()
        for name, y in ys.items():
            if not np.array_equal(y.data, before[name], equal_nan=True):
                raise Changed(name)
        return {f"d{name}": x.grad for name, x in inputs.items() if isinstance(x, Tensor)}

    defaults = dict(parts=("forward", "backward"), slopes="backward")
    return PythonExercise(run=run, call=call, **defaults | fields)


def as_input(a):
    return Tensor(a, requires_grad=True) if a.dtype.kind == "f" else a
