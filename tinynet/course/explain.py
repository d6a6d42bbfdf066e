"""Why an answer is wrong: a known mistake that gives the same numbers, else a pattern in the numbers, else where.

If the answer equals a wrong twin's on random inputs of all sizes, that is the mistake, whatever the code looks like.
"""

from dataclasses import replace
from functools import cache

from tinynet.course.bench import Bench, load
from tinynet.course.compare import first_difference, same
from tinynet.course.exercise import Wrong
from tinynet.course.patterns import Result, patterns


def explain(exercise, part, sizes, mine, lines, hint=""):
    """Raise Wrong. mine: the answer's Bench; sizes: where it is wrong; lines, hint: what is known already."""
    right = library(exercise)

    def is_right(sizes):
        return mine.outcome(part, sizes).equals(right.outcome(part, sizes))

    every = [exercise.sizes, *({**exercise.sizes, **change} for change in exercise.others.values())]
    if is_right(sizes):  # wrong in the example by hand, or against measured slopes
        sizes = next((s for s in every if not is_right(s)), None)
        if sizes is None:
            raise Wrong(*lines)
    every.sort(key=lambda s: s != sizes)  # stable: those that fail come first
    received, expected = mine.outcome(part, sizes).results, right.outcome(part, sizes).results
    wrong = [name for name in expected if not same(received.get(name), expected[name])][:1]
    result = Result(exercise, part, wrong[0], mine, right) if wrong else None
    lines = [*lines, *(evidence(result, sizes) if result else ())]
    twin, only = known_mistake(exercise, part, every, mine, wrong)
    if twin:
        raise Wrong(*lines, hint=twin.hint, certain=True, only=only, see=twin.see)
    raise Wrong(*lines, hint=hint or (" ".join(patterns(result, every)) if result else ""))


def known_mistake(exercise, part, every, mine, wrong):
    """The Twin that gives what the answer gives, for all sizes; if there is none, one that does so for the first wrong
    result (wrong: its name in a list, or no name); if there is none, one that does so for the sizes that failed first.

    Returns (Twin or None, the name of the one result that was compared, or "").
    """
    before = exercise.parts[: exercise.parts.index(part)]  # those are right, so a twin that is wrong there is another
    fits = [
        (twin, bench) for twin, bench in twins(exercise)
        if all(mine.outcome(p, s).equals(bench.outcome(p, s)) for p in before for s in every)
    ]
    right = library(exercise)
    held = [  # what is right at all sizes, so a twin that has it wrong is another mistake
        name for name in right.outcome(part, every[0]).results
        if all(mine.outcome(part, s).equals(right.outcome(part, s), [name]) for s in every)
    ]
    if held:
        fits = [
            (twin, bench) for twin, bench in fits
            if all(bench.outcome(part, s).equals(right.outcome(part, s), held) for s in every)
        ]
    for names, sizes in ((None, every), (wrong, every), (None, every[:1])):
        for twin, bench in fits if names != [] else ():
            if all(mine.outcome(part, s).equals(bench.outcome(part, s), names) for s in sizes):
                twin = replace(twin, hint=twin.hint + ELSE) if len(sizes) < len(every) else twin
                return twin, names[0] if names else ""
    return None, ""


ELSE = " (But not for all sizes: there may be something else.)"


@cache
def library(exercise):
    return Bench(exercise, load(exercise.source(), "the library's own file"))


@cache
def twins(exercise):
    """[(Twin, its Bench)]"""
    return [(twin, Bench(exercise, load(twin.source(exercise.source()), "a known mistake"))) for twin in exercise.twins]


def evidence(result, sizes):
    """Lines: the first element that is wrong, in the smallest input that shows it."""
    pair = result.pair(sizes) and result.pair(shrink(result, sizes))
    if pair is None or pair.received.shape != pair.expected.shape:
        return []
    exercise = result.exercise
    line = exercise.sentences.get(result.name) or first_difference(result.name, pair.received, pair.expected)
    unused = [name for name, least in exercise.smallest.items() if pair.sizes[name] == least == 0]  # no padding
    sizes = ", ".join(f"{name}={value}" for name, value in pair.sizes.items() if name not in unused)
    return [f"{line}, for the smallest input that shows it: {sizes}"]


def shrink(result, sizes):
    """Sizes as small as can be at which the result is still wrong, without an exception."""

    def smaller(value, least):
        """What to try in place of a size: the least, half the way there, one less."""
        if not isinstance(value, int) or not isinstance(least, int):
            return [least]
        return [least, (least + value) // 2, *([value - 1] if value < 20 else [])]

    progress = True
    while progress:
        progress = False
        for key, least in result.exercise.smallest.items():
            for value in smaller(sizes[key], least) if sizes[key] != least else ():
                pair = result.pair({**sizes, key: value})
                if pair and not pair.right:
                    sizes, progress = pair.sizes, True
                    break
    return sizes
