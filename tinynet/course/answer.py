"""A student's answer, run beside the library's own: the steps that every exercise in Python has."""

import numpy as np

from tinynet import functional as F
from tinynet.autograd import Tensor
from tinynet.course.bench import Bench, at_line, load
from tinynet.course.compare import first_difference, same
from tinynet.course.exceptions import hint, missing_return
from tinynet.course.exercise import Wrong
from tinynet.course.explain import explain, library
from tinynet.gradcheck import GradcheckError, gradcheck


class Answer:
    """The answer `text`, from the file at `path`; each method is a step, and raises Wrong or NotDone."""

    def __init__(self, exercise, text, path):
        self.exercise, self.text, self.path = exercise, text, str(path)

    def loads(self):
        try:
            self.mine = Bench(self.exercise, load(self.text, self.path))
        except SyntaxError as error:
            raise Wrong(f"{self.path}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}") from None
        except (Exception, SystemExit) as error:
            raise Wrong(self.at_line(error)) from None
        for hole in self.exercise.holes:
            what = self.mine.module
            for name in hole.split("."):
                what = getattr(what, name, None)
            if what is None:
                raise Wrong(f"{self.path} has no {hole} any more; it is what you are to write")
        self.library = library(self.exercise)

    def runs(self, part):
        outcome = self.mine.outcome(part, self.exercise.sizes)
        if outcome.raised:
            self.explain(part, self.exercise.sizes, [], outcome.raised)

    def inputs_unchanged(self, part):
        outcome = self.mine.outcome(part, self.exercise.sizes)
        if outcome.changed:
            what = " and ".join(outcome.changed)
            self.explain(part, self.exercise.sizes, [
                f"{what} was changed: it belongs to the caller, and others may still need it. Compute into a new array."
            ])

    def shapes(self, part):
        self.compare(part, self.exercise.sizes, shapes_only=True)

    def by_hand(self, part):
        hand = self.exercise.hand
        sizes = {**self.exercise.sizes, **hand.sizes}
        outcome = self.mine.run(part, {name: np.array(a) for name, a in hand.arrays.items()}, sizes)
        expected = {name: a for name, a in hand.expected.items() if self.belongs(name, part)}
        if outcome.raised:
            self.explain(part, self.exercise.sizes, [], outcome.raised)
        for name, a in expected.items():
            if not same(outcome.results.get(name), np.array(a), 1e-4):
                lines = ["in the example by hand:"]
                lines += [f"    {line}" for line in hand.words or map(assigned, hand.arrays.items())]
                lines += [f"    {name} should be {numbers(a)}", f"    {name} is {numbers(outcome.results.get(name))}"]
                self.explain(part, self.exercise.sizes, lines)

    def belongs(self, name, part):
        return name in self.library.outcome(part, self.exercise.sizes).results

    def same_as_loops(self, part):
        sizes = self.exercise.sizes
        expected = self.exercise.loops(self.mine.draw(sizes), sizes)
        results = self.mine.outcome(part, sizes).results
        for name, a in expected.items():
            if not same(results[name], a):
                self.explain(part, sizes, [])

    def measured_slopes(self):
        """Central differences of the answer's own forward pass."""
        exercise, sizes = self.exercise, {**self.exercise.sizes, **self.exercise.small}
        arrays = self.mine.draw(sizes)
        names = [name for name, a in arrays.items() if a.dtype.kind == "f"]
        tensors = [Tensor(arrays[name], requires_grad=True) for name in names]

        def one_output(*tensors):
            ys = exercise.call(self.mine.module, {**arrays, **dict(zip(names, tensors, strict=True))}, sizes)
            return join(ys) if isinstance(ys, list) else ys

        try:
            gradcheck(one_output, tensors)
        except GradcheckError as error:
            self.explain("backward", exercise.sizes, [str(error)])
        except Exception as error:
            raise Wrong("in a gradient check:", self.at_line(error)) from None

    def other_sizes(self, part):
        self.compare(part, self.exercise.sizes)
        for label, change in self.exercise.others.items():
            self.compare(part, {**self.exercise.sizes, **change}, [f"Right for the usual sizes, wrong with {label}."])

    def float32(self, part):
        sizes = self.exercise.sizes
        outcome, exact = (bench.outcome(part, sizes, np.float32) for bench in (self.mine, self.library))
        if outcome.raised:
            raise Wrong("right in float64; in float32:", self.at_line(outcome.raised))
        for name, a in exact.results.items():
            received = outcome.results[name]
            if received.dtype != a.dtype:
                raise Wrong(f"for inputs of float32 {name} is {received.dtype}; it should be float32: make new arrays "
                            "with the dtype of an input, as in np.zeros(shape, x.dtype)")
            if not same(received, a, 1e-4):
                raise Wrong(f"{name} is right in float64, but not in float32: {first_difference(name, received, a)}",
                            "A difference of nearly equal numbers loses its digits, and float32 has only seven.")

    def twice(self, part):
        sizes = self.exercise.sizes
        again = self.mine.run(part, self.mine.draw(sizes), sizes)
        if again.raised:
            raise Wrong("right once; the second time:", self.at_line(again.raised))
        for name, a in self.library.outcome(part, sizes).results.items():
            if not same(again.results.get(name), a):
                raise Wrong(f"{name} is right once, and wrong the second time: what is kept between two calls?")

    # ------------------------------------------------------------------ helpers

    def compare(self, part, sizes, lines=(), shapes_only=False):
        """Raise Wrong, with these lines first, unless the answer gives what the library gives."""
        received, expected = (bench.outcome(part, sizes) for bench in (self.mine, self.library))
        if received.raised:
            self.explain(part, sizes, lines, received.raised)
        for name, a in expected.results.items():
            b = received.results.get(name)
            if not isinstance(b, np.ndarray | np.generic):
                what = f"{name} should be an array, got {type(b).__name__}"
                raise Wrong(what, hint=missing_return(self.exercise, self.text))
            if b.shape != a.shape:
                self.explain(part, sizes, [*lines, f"{name} has shape {b.shape}, expected {a.shape}"])
            if b.dtype != a.dtype:
                raise Wrong(f"{name} is {b.dtype}, expected {a.dtype}, as the inputs are")
            if not shapes_only and not same(b, a):
                self.explain(part, sizes, lines)

    def explain(self, part, sizes, lines, raised=None):
        """Raise Wrong with the mistake, if it is a known one, or with what can be said about it."""
        said = ""
        if raised:
            lines = [*lines, self.at_line(raised)]
            said = hint(self.exercise, self.text, self.path, raised)
        explain(self.exercise, part, sizes, self.mine, lines, said)

    def at_line(self, error):
        return at_line(error, self.path)


def join(ys):
    """Several outputs as one vector."""
    return F.concatenate([F.reshape(y, (-1,)) for y in ys], 0)


def assigned(item):
    name, a = item
    return f"{name} = {numbers(a)}"


def numbers(a):
    """An array for a message, without its axes of length 1."""
    text = np.array2string(np.squeeze(a), precision=4, separator=", ", suppress_small=True)
    return text.replace("\n", "\n" + " " * 8)
