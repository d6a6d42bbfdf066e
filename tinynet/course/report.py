"""A verdict as lines for the terminal."""

import textwrap
from itertools import groupby
from pathlib import Path

from tinynet.course.train import PLACES

WIDTH = 100


def report(verdict, exercise):
    """The steps that hold, the one that does not, and why; and what the answer printed."""
    prints = ["", "your prints:", *(f"    {line}" for line in verdict.printed)] if verdict.printed else []
    steps = [(part, f"{n} {title}  {state}") for n, (part, title, state) in enumerate(states(verdict), 1)]
    lines = []
    for part, group in groupby(steps, key=lambda step: step[0]):
        label = f"{part or exercise.name:<22}"
        words = "   ".join(text.replace(" ", "\0") for _, text in group)  # a step is not broken over two lines
        wrapped = textwrap.wrap(words, WIDTH, initial_indent=label, subsequent_indent=" " * len(label))
        lines += [line.replace("\0", " ") for line in wrapped]
    if verdict.state == "right":
        return [*lines, "right.", *prints]
    lines += ["", *(short for line in verdict.lines for short in wrap(line))]
    if verdict.hint:
        known = f"gives the same {verdict.only}" if verdict.only else "does exactly the same"
        hint = f"A known mistake {known}: {verdict.hint}" if verdict.certain else verdict.hint
        lines += ["", *textwrap.wrap(hint, WIDTH)]
    again = " again" if verdict.state == "wrong" else ""
    return [*lines, f'Read{again}: {exercise.page}, "{verdict.see or exercise.section}".', *prints]


def next_steps(path):
    """Lines: what to do with the answer at `path`, now that it is right."""
    where = "" if path.parent == Path("work") else f" --folder {path.parent}"
    lines = [f"Now: python -m tinynet.course solution {path.stem}{where}"]
    return [*lines, f"     python -m tinynet.course train {path}"] if path.stem in PLACES else lines


def wrap(line):
    """Lines of numbers or of code stay as they are."""
    return [line] if line.startswith(" ") or "\n" in line else textwrap.wrap(line, WIDTH)


def states(verdict):
    for part, title in verdict.passed:
        yield part, title, "ok"
    if verdict.failed:
        yield *verdict.failed, "NOT DONE" if verdict.state == "not done" else "WRONG"
