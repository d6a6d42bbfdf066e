"""Why an answer is wrong: a known mistake that gives the same numbers, else a pattern in the numbers, else where.

If the answer equals a wrong twin's on random inputs of all sizes, that is the mistake, whatever the code looks like.
"""

from functools import cache

from tinynet.course.bench import Bench, load
from tinynet.course.compare import first_difference, same
from tinynet.course.exercise import Wrong
from tinynet.course.patterns import patterns


def explain(exercise, part, sizes, mine, lines):
    """Raise Wrong. mine: the answer's Bench; sizes: where it is wrong; lines: what is known already."""
    right = library(exercise)
    every = [exercise.sizes, *({**exercise.sizes, **change} for change in exercise.others.values())]
    every.sort(key=lambda s: s != sizes)  # stable: the one that failed comes first
    sizes = next((s for s in every if not mine.outcome(part, s).equals(right.outcome(part, s))), sizes)
    received = mine.outcome(part, sizes).results
    wrong = [name for name, a in right.outcome(part, sizes).results.items() if not same(received.get(name), a)]
    twin = known_mistake(exercise, part, every, mine, wrong)
    if twin:
        hint, see = twin.hint, twin.see
    else:
        hint, see = " ".join(patterns(exercise, part, every, mine, right, wrong[0])) if wrong else "", ""
    lines = [*lines, *evidence(exercise, part, sizes, mine, right, wrong)]
    raise Wrong(*lines, hint=hint, certain=twin is not None, see=see)


def known_mistake(exercise, part, every, mine, wrong):
    """The Twin that gives what the answer gives, for all sizes: all of it, or at least the first wrong result."""
    before = exercise.parts[: exercise.parts.index(part)]  # those are right, so a twin that is wrong there is another
    for parts, names in (((*before, part), None), ((part,), wrong[:1])):
        for twin, bench in twins(exercise) if names != [] else ():
            if all(mine.outcome(p, s).equals(bench.outcome(p, s), names) for p in parts for s in every):
                return twin
    return None


@cache
def library(exercise):
    return Bench(exercise, load(exercise.source(), "the library's own file"))


@cache
def twins(exercise):
    """[(Twin, its Bench)]"""
    return [(twin, Bench(exercise, load(twin.source(exercise.source()), "a known mistake"))) for twin in exercise.twins]


def evidence(exercise, part, sizes, mine, right, wrong):
    """Lines: the first element that is wrong, in the smallest input that shows it."""
    if not wrong or wrong[0] not in mine.outcome(part, sizes).results:
        return []
    small = shrink(exercise, part, sizes, mine, right, wrong[0])
    received, expected = (bench.outcome(part, small).results[wrong[0]] for bench in (mine, right))
    if received.shape != expected.shape:
        return []
    line = first_difference(wrong[0], received, expected)
    return [f"{line}, for the smallest input that shows it: {', '.join(f'{k}={v}' for k, v in small.items())}"]


def shrink(exercise, part, sizes, mine, right, name):
    """Sizes as small as can be at which the result `name` is still wrong, without an exception."""

    def still_wrong(sizes):
        expected, received = right.outcome(part, sizes), mine.outcome(part, sizes)
        if expected.raised or received.raised or name not in expected.results or name not in received.results:
            return False
        return not same(received.results[name], expected.results[name])

    progress = True
    while progress:
        progress = False
        for key, least in exercise.smallest.items():
            if sizes[key] == least:
                continue
            whole = isinstance(least, int) and isinstance(sizes[key], int)
            for value in [least, *([(least + sizes[key]) // 2, sizes[key] - 1] if whole else [])]:
                smaller = {**sizes, key: value}
                if value != sizes[key] and still_wrong(smaller):
                    sizes, progress = smaller, True
                    break
    return sizes
