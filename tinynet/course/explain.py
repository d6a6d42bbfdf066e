"""Why an answer is wrong: a known mistake that gives the same numbers, else a pattern in the numbers, else where.

If the answer equals a wrong twin's on random inputs of all sizes, that is the mistake, whatever the code looks like.
"""

from dataclasses import replace
from functools import cache

from tinynet.course.bench import Bench, load
from tinynet.course.compare import first_difference, same
from tinynet.course.exercise import Wrong
from tinynet.course.patterns import patterns


def explain(exercise, part, sizes, mine, lines):
    """Raise Wrong. mine: the answer's Bench; sizes: where it is wrong; lines: what is known already."""
    right = library(exercise)
    every = [exercise.sizes, *({**exercise.sizes, **change} for change in exercise.others.values())]
    if sizes in every and mine.outcome(part, sizes).equals(right.outcome(part, sizes)):  # wrong only in another way
        sizes = next((s for s in every if not mine.outcome(part, s).equals(right.outcome(part, s))), sizes)
    every.sort(key=lambda s: s != sizes)  # stable: those that fail come first
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
    """The Twin that gives what the answer gives, for all sizes; if there is none, whose first wrong result is the same;
    and if there is none, which gives the same for those sizes that failed first.
    """
    before = exercise.parts[: exercise.parts.index(part)]  # those are right, so a twin that is wrong there is another
    fits = [
        (twin, bench) for twin, bench in twins(exercise)
        if all(mine.outcome(p, s).equals(bench.outcome(p, s)) for p in before for s in every)
    ]
    for names, sizes in ((None, every), (wrong[:1], every), (None, every[:1])):
        for twin, bench in fits if names != [] else ():
            if all(mine.outcome(part, s).equals(bench.outcome(part, s), names) for s in sizes):
                return replace(twin, hint=twin.hint + ELSE) if len(sizes) < len(every) else twin
    return None


ELSE = " (For other sizes something else is wrong, too.)"


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

    def smaller(value, least):
        """What to try in place of a size: the least, half the way there, one less."""
        if not isinstance(value, int) or not isinstance(least, int):
            return [least]
        return [least, (least + value) // 2, *([value - 1] if value < 20 else [])]

    progress = True
    while progress:
        progress = False
        for key, least in exercise.smallest.items():
            if sizes[key] == least:
                continue
            for value in smaller(sizes[key], least):
                if still_wrong({**sizes, key: value}):
                    sizes, progress = {**sizes, key: value}, True
                    break
    return sizes
