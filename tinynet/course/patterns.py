"""What can be said of wrong numbers when no known mistake gives them: a factor, a transpose, a border, a lost sum.

A pattern counts only if it explains every element, for all sizes at which the answer is wrong.
"""

from itertools import chain, combinations, permutations

import numpy as np

from tinynet.course.compare import differs, same


class Pair:
    """What was received and what was expected, for some sizes. named: other arrays of the call, by name."""

    def __init__(self, received, expected, named, sizes):
        self.received, self.expected, self.named, self.sizes = received, expected, named, sizes


def patterns(exercise, part, every, mine, library, name):
    """Lines about the result `name`. every: all sizes that are tried, the one that failed first."""
    pairs = []
    for sizes in every:
        received, expected = mine.outcome(part, sizes), library.outcome(part, sizes)
        if expected.raised or name not in received.results:
            continue
        pair = Pair(received.results[name], expected.results[name], named_arrays(exercise, sizes, library, name), sizes)
        if pair.expected.size and not same(pair.received, pair.expected):
            pairs.append(pair)
    if any(p.received.shape != p.expected.shape for p in pairs):
        return [line for line in [rearranged(name, pairs)] if line]
    axes = exercise.axes.get(name, "")
    value = first(pattern(name, pairs, axes) for pattern in VALUES)
    if value:
        return [value]
    places = where_along_axes(name, pairs, axes), right_when_simpler(exercise, part, pairs[0], mine, library, name)
    return [line for line in places if line]


def first(lines):
    return next((line for line in lines if line), None)


def named_arrays(exercise, sizes, library, name):
    """Inputs, outputs and cotangents of the same call, those that can be recognized in a result."""
    arrays = {key: a for key, a in library.draw(sizes).items() if a.dtype.kind == "f"}
    if "forward" in exercise.parts:
        ys = library.outcome("forward", sizes).results
        arrays |= ys
        rng = [np.random.default_rng(100 + i) for i in range(len(ys))]
        arrays |= {f"d{key}": r.standard_normal(y.shape) for r, (key, y) in zip(rng, ys.items(), strict=True)}
    arrays.pop(name, None)
    return arrays


# ------------------------------------------------------------------ patterns in the values


def zero_or_not_finite(name, pairs, axes):
    if all(not p.received.any() for p in pairs):
        return f"{name} is 0 everywhere: is something computed and then not returned, or not assigned?"
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
    numbers |= dict(zip(axes, pair.expected.shape, strict=False))
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
    return " and ".join(axes[i] if i < len(axes) else f"axis {i}" for i in numbers)


def same_along_an_axis(name, pairs, axes):
    """Right up to a term that does not depend on the place along one axis."""
    for axis in range(pairs[0].expected.ndim):
        off = [p.received - p.expected for p in pairs]
        constant = all(same(d, np.broadcast_to(d.take([0], axis), d.shape)) for d in off)
        if constant and any(d.shape[axis] > 1 for d in off):
            what = axis_names([axis], axes)
            sums_to_0 = all(np.abs(p.expected.sum(axis)).max() < 1e-9 for p in pairs)
            rule = f" Along {what} it should sum to 0, and does not." if sums_to_0 else ""
            return f"{name} is right up to a term that is the same along {what}: a sum over {what} is missing.{rule}"
    return None


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
    zero_or_not_finite, constant_factor, another_array, rearranged, same_along_an_axis, missing_factor, missing_term,
    by_sign,
]

# ------------------------------------------------------------------ patterns in the places


def where_along_axes(name, pairs, axes):
    """Right but for the border, or for some places along one axis."""
    for axis in range(pairs[0].expected.ndim):
        what, found = axis_names([axis], axes), set()
        for p in pairs:
            others = tuple(i for i in range(p.expected.ndim) if i != axis)
            wrong = differs(p.received, p.expected).any(others)
            last = len(wrong) - 1
            if wrong.all() or last < 1:
                found.add(None)
            elif not wrong[1:-1].any() and last > 1:
                sides = " and the ".join(side for side, at in (("first", 0), ("last", last)) if wrong[at])
                found.add(f"{name} is right but for the border: wrong only in the {sides} along {what}.")
            elif not wrong[0] and wrong[1:].all():
                found.add(f"{name} is right for the first along {what} only: is a sum or a loop over {what} missing?")
            else:
                bad = ", ".join(map(str, np.flatnonzero(wrong)))
                return f"{name} is wrong only at {what} = {bad} (of {last + 1})."
        if len(found) == 1 and found != {None}:
            return found.pop()
    return None


def right_when_simpler(exercise, part, pair, mine, library, name):
    """Which simplification makes it right."""
    for simpler in exercise.simpler:
        sizes = simpler.of(pair.sizes)
        if sizes == pair.sizes:
            continue
        received, expected = mine.outcome(part, sizes), library.outcome(part, sizes)
        if expected.raised or name not in received.results:
            continue
        if same(received.results[name], expected.results[name]) and expected.results[name].any():
            return f"{name} is right with {simpler.what}. {simpler.hint}".rstrip()
    return None
