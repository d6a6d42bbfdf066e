"""What can be said of wrong numbers when no known mistake gives them: a factor, a transpose, a border, a lost sum.

A pattern counts only if it explains every element, for all sizes at which the answer is wrong.
"""

from itertools import chain, combinations, permutations

import numpy as np

from tinynet.course.bench import cotangents
from tinynet.course.compare import differs, same


class Pair:
    """What was received and what was expected, for some sizes. named: other arrays of the call, by name."""

    def __init__(self, received, expected, named, sizes):
        self.received, self.expected, self.named, self.sizes = received, expected, named, sizes
        self.right = same(received, expected)


class Result:
    """The result `name` of an exercise's part. mine, right: the Benches of the answer and of the library."""

    def __init__(self, exercise, part, name, mine, right):
        self.exercise, self.part, self.name, self.mine, self.library = exercise, part, name, mine, right
        self.axes = exercise.axes.get(name, "")

    def pair(self, sizes):
        """The Pair for these sizes; None if nothing came out, or if the sizes make no sense."""
        received, expected = (bench.outcome(self.part, sizes) for bench in (self.mine, self.library))
        if self.name not in expected.results or self.name not in received.results:
            return None
        return Pair(received.results[self.name], expected.results[self.name], self.named_arrays(sizes), sizes)

    def named_arrays(self, sizes):
        """Inputs, outputs and cotangents of the same call, those that can be recognized in a result."""
        arrays = {key: a for key, a in self.library.draw(sizes).items() if a.dtype.kind == "f"}
        if "forward" in self.exercise.parts:
            ys = self.library.outcome("forward", sizes).results
            arrays |= ys | cotangents(ys)
        arrays.pop(self.name, None)
        return arrays

    def repeats(self, pair):
        """Whether the same comes out once more."""
        again = self.mine.run(self.part, self.mine.draw(pair.sizes), pair.sizes).results.get(self.name)
        return same(again, pair.received)


def patterns(result, every):
    """Lines about a Result. every: all sizes that are tried, the one that failed first."""
    name, axes = result.name, result.axes
    if result.pair(every[0]) is None:  # nothing came out
        return [line for line in [right_when_simpler(result, every[0])] if line]
    pairs = [pair for pair in map(result.pair, every) if pair and pair.expected.size and not pair.right]
    if any(p.received.shape != p.expected.shape for p in pairs):
        return [line for line in [rearranged(name, pairs, axes)] if line]
    if not result.repeats(pairs[0]):
        return [f"{name} comes out differently each time, from the same inputs: is something random, or never filled?"]
    value = first(pattern(name, pairs, axes) for pattern in VALUES)
    if value:
        return [value]
    lines = not_finite(name, pairs), where_along_axes(name, pairs, axes), right_when_simpler(result, pairs[0].sizes)
    return [line for line in lines if line]


def first(lines):
    return next((line for line in lines if line), None)


# ------------------------------------------------------------------ patterns in the values


def zero(name, pairs, axes):
    if all(not p.received.any() for p in pairs):
        return f"{name} is 0 everywhere: is something computed and then not returned, or not assigned?"
    return None


def not_finite(name, pairs):
    if all((~np.isfinite(p.received) & np.isfinite(p.expected)).any() for p in pairs):
        return f"{name} has nan or inf where it should not: a division by 0, or an overflow?"
    return None


def constant_factor(name, pairs, axes):
    """By least squares."""
    factors = []
    for p in pairs:
        factor = (p.received * p.expected).sum() / (p.expected * p.expected).sum()
        if not np.isfinite(factor) or not same(p.received, factor * p.expected):
            return None
        factors.append(factor)
    if np.allclose(factors, -1):
        return f"{name} has the wrong sign everywhere."
    for what in named_factors(pairs[0], axes):
        if all(np.isclose(f, named_factors(p, axes)[what]) for f, p in zip(factors, pairs, strict=True)):
            return f"{name} is right up to a factor: it is {what} times what it should be."
    if np.allclose(factors, factors[0]):
        return f"{name} is right up to a factor: it is {factors[0]:.4g} times what it should be."
    return None


def named_factors(pair, axes):
    """{"1/N": its value, ...}: factors that have a meaning for these sizes."""
    numbers = {key: v for key, v in pair.sizes.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    numbers = dict(zip(axes, pair.expected.shape, strict=False)) | numbers
    found = {"2": 2, "1/2": 0.5, "-2": -2, "-1/2": -0.5}
    for key, v in numbers.items():
        found |= {key: v, f"-{key}": -v, f"(1 - {key})": 1 - v}
        found |= {f"1/{key}": 1 / v, f"-1/{key}": -1 / v} if v else {}
        found |= {f"1/(1 - {key})": 1 / (1 - v)} if v != 1 else {}
    for (key, v), (other, u) in combinations(numbers.items(), 2):
        found |= {f"{key} * {other}": v * u} | ({f"1/({key} * {other})": 1 / (v * u)} if v * u else {})
    return found


def another_array(name, pairs, axes):
    for key in pairs[0].named:
        if all(key in p.named and same(p.received, p.named[key]) for p in pairs):
            return f"{name} is {key}, unchanged."
    return None


def rearranged(name, pairs, axes=""):
    """Right up to a transpose, a flip, or a shift by one."""
    ndim = pairs[0].expected.ndim
    for order in permutations(range(ndim)):
        if order != tuple(range(ndim)) and all(same(p.received, p.expected.transpose(order)) for p in pairs):
            return f"{name} is right up to a transpose: its axes are in the order {order}."
    for flipped in chain.from_iterable(combinations(range(ndim), n) for n in range(1, ndim + 1)):
        if all(same(p.received, np.flip(p.expected, flipped)) for p in pairs):
            return f"{name} is right up to a flip along {axis_names(flipped, axes)}."
    for axis in range(ndim):
        for shift in (-1, 1):
            if all(same(p.received, np.roll(p.expected, shift, axis)) for p in pairs):
                return f"{name} is right, but shifted by one along {axis_names([axis], axes)}."
    return None


def axis_names(numbers, axes):
    names = [axes[i] if i < len(axes) else f"axis {i}" for i in sorted(numbers)]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def same_along_an_axis(name, pairs, axes):
    """Right up to a term that does not depend on the place along one axis; which one may depend on the sizes."""
    along = [constant_axes(p.received - p.expected) for p in pairs]
    if not all(along) or pairs[0].expected.shape[along[0][0]] < 2:
        return None
    line = f"{name} is right up to a term that is the same all along {axis_names(along[0], axes)}."
    if all(np.abs(p.expected.sum(found[0])).max() < 1e-9 for p, found in zip(pairs, along, strict=True)):
        what = axis_names(along[0][:1], axes)
        line += f" Along {what} it should sum to 0, and does not: a sum over {what} is missing, or wrong."
    return line


def constant_axes(off):
    axes = [axis for axis in range(off.ndim) if same(off, np.broadcast_to(off.take([0], axis), off.shape))]
    return sorted(axes, key=lambda axis: -off.shape[axis])


def missing_factor(name, pairs, axes):
    """The quotient is one of the arrays of the call."""
    for key in pairs[0].named:
        arrays = [p.named.get(key) for p in pairs]
        if any(a is None or a.shape != p.expected.shape for a, p in zip(arrays, pairs, strict=True)):
            continue
        both = list(zip(pairs, arrays, strict=True))
        for text, a_side, b_side in (
            (f"a factor {key} is missing", lambda p, a: p.received * a, lambda p, a: p.expected),
            (f"it is multiplied by {key} once too often", lambda p, a: p.received, lambda p, a: p.expected * a),
        ):
            if all(same(a_side(p, a), b_side(p, a)) for p, a in both):
                return f"{name} is right up to a factor: {text}."
    return None


def missing_term(name, pairs, axes):
    """The difference is a multiple of one of the arrays of the call."""
    for key in pairs[0].named:
        factors = []
        for p in pairs:
            a, off = p.named.get(key), p.received - p.expected
            if a is None or a.shape != off.shape or not (a * a).sum():
                break
            factors.append((off * a).sum() / (a * a).sum())
            if not same(off, factors[-1] * a):
                break
        else:
            if np.allclose(factors, factors[0]):
                return f"{name} is right up to a term: it has {factors[0]:+.4g} * {key} too much."
    return None


def by_sign(name, pairs, axes):
    """Wrong exactly where one of the arrays of the call is negative, zero or positive."""
    for key in pairs[0].named:
        arrays = [p.named.get(key) for p in pairs]
        if any(a is None or a.shape != p.expected.shape for a, p in zip(arrays, pairs, strict=True)):
            continue
        for sign, where in (("< 0", lambda a: a < 0), ("> 0", lambda a: a > 0), ("= 0", lambda a: a == 0)):
            masks = [(where(a), differs(p.received, p.expected)) for a, p in zip(arrays, pairs, strict=True)]
            if all(wrong[m].any() and not wrong[~m].any() and not m.all() for m, wrong in masks):
                return f"{name} is wrong only where {key} {sign}."
    return None


VALUES = [
    zero, constant_factor, another_array, rearranged, same_along_an_axis, missing_factor, missing_term, by_sign,
]

# ------------------------------------------------------------------ patterns in the places


def where_along_axes(name, pairs, axes):
    """Right but for the border, or for some places along one axis."""
    for axis in range(pairs[0].expected.ndim):
        others = tuple(i for i in range(pairs[0].expected.ndim) if i != axis)
        found = {where(differs(p.received, p.expected).any(others)) for p in pairs if p.expected.shape[axis] > 1}
        if len(found) == 1 and found != {None}:
            return f"{name} {found.pop().format(axis_names([axis], axes))}"
    return None


def where(wrong):
    """In words, for a bool array along an axis; None if it is wrong all along."""
    if wrong.all():
        return None
    if len(wrong) > 2 and not wrong[1:-1].any():
        sides = " and the ".join(side for side, bad in zip(("first", "last"), wrong[[0, -1]], strict=True) if bad)
        return f"is right but for the border: wrong only in the {sides} along {{0}}."
    if not wrong[0] and wrong[1:].all():
        return "is right for the first along {0} only: is a sum or a loop over {0} missing?"
    return f"is wrong only at {{0}} = {', '.join(map(str, np.flatnonzero(wrong)))}."


def right_when_simpler(result, wrong_sizes):
    """Which simplification makes it right, or which two; or with which one the numbers can be read."""
    simpler, name, readable = result.exercise.simpler, result.name, []
    right = f"{'It' if name in result.exercise.sentences else name} is right"
    if result.pair(wrong_sizes) is None:  # an exception, and who knows which result it is about
        right = "There is no error"
    for some in [*combinations(simpler, 1), *combinations(simpler, 2)]:
        sizes = wrong_sizes
        for one in some:
            sizes = one.of(sizes)
        pair = result.pair(sizes)
        if pair is None or sizes == wrong_sizes or not pair.expected.any():
            continue
        what = " and ".join(one.what for one in some)
        if pair.right:
            return " ".join([f"{right} with {what}.", *(one.hint for one in some)]).rstrip()
        if len(some) == 1 and pair.received.shape == pair.expected.shape:
            line = first(pattern(name, [pair], result.axes) for pattern in VALUES)
            readable += [f"With {what}, {line}"] if line else []
    return first(readable)
