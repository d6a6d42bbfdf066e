"""What an exercise is, whatever language it is written in; and what a checker says of an answer."""

import warnings
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Twin:
    """A known mistake: the library's own source with `edits`, {old text: new text}, and the hint for whoever made it.

    Each old text must occur exactly once. see: where to read again: what a heading of the exercise's page begins with,
    as in "Step 3" or "By hand"; without it, the exercise's section.
    """

    hint: str
    edits: dict
    see: str = ""

    def source(self, text):
        """The library's text with this mistake in it."""
        return replaced(text, self.edits)


def replaced(text, edits):
    """The text with each key of `edits` replaced by its value. Raises LookupError unless each occurs exactly once."""
    for old, new in edits.items():
        if text.count(old) != 1:
            raise LookupError(f"this text should occur once in the library, occurs {text.count(old)} times: {old}")
        text = text.replace(old, new)
    return text


@dataclass(frozen=True, kw_only=True, eq=False)
class Exercise:
    """One file of the library, some of whose functions are to be written again.

    name: what `start` and `check` call it; also the stem of the student's file. week, minutes: of the course, to
    write it. file: the library's own, below tinynet/. page, section: where its maths is derived. holes: the functions
    whose bodies go, as in ("Relu.backward", "window_sum"). removed: functions that go altogether, because they give the
    answer away. hide: {text that gives it away: what stands there instead}; each must occur once. given: {hole: lines
    of its body that the student gets}. twins: the known mistakes.
    """

    seconds = 20  # a check may take; many times what a right answer takes
    name: str
    week: int
    minutes: int
    file: str
    page: str
    section: str
    holes: tuple
    removed: tuple = ()
    hide: dict = field(default_factory=dict)
    given: dict = field(default_factory=dict)
    twins: tuple = ()

    @property
    def file_name(self):
        """Of an answer."""
        return self.name + Path(self.file).suffix

    def source(self):
        """The library's own text."""
        return (files("tinynet") / self.file).read_text(encoding="utf-8")

    def stub(self, path):
        """What the student starts from, to be written to `path`."""
        raise NotImplementedError

    def steps(self, text, path):
        """What is checked of an answer: Steps, in an order that a beginner can follow. Nothing runs before the first.

        text, path: the answer, and the file that it came from, for messages. A twin is checked in the same way.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Step:
    """One line of what is checked. run: returns if it holds, raises Wrong or NotDone if not.

    part: what the answer is asked for, such as "forward"; steps of one part are printed together.
    """

    part: str
    title: str
    run: object


class Wrong(Exception):
    """lines: what is wrong, in numbers. hint: why. see: what to read again.

    certain: a known mistake gives the same. only: the name of the one result that this is known of; "" if of all.
    """

    def __init__(self, *lines, hint="", certain=False, only="", see=""):
        super().__init__(*lines)
        self.lines, self.hint, self.certain, self.only, self.see = list(lines), hint, certain, only, see


class NotDone(Exception):
    """The body of a function still has to be written."""


@dataclass
class Verdict:
    """state: right, wrong or "not done". passed: [part, title] of each step that held; failed: of the one that did not.

    lines, hint, certain, only, see: of Wrong. printed: the first lines that the answer printed.
    """

    exercise: str
    state: str = "right"
    passed: list = field(default_factory=list)
    failed: list | None = None
    lines: list = field(default_factory=list)
    hint: str = ""
    certain: bool = False
    only: str = ""
    see: str = ""
    printed: list = field(default_factory=list)

    as_dict = asdict


def judge(exercise, text, path, told=lambda verdict: None):
    """The verdict on an answer. Stops at the first step that fails. told(verdict): called before each step."""
    verdict = Verdict(exercise.name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for step in exercise.steps(text, path):
            verdict.failed = [step.part, step.title]  # until it is known that it holds
            told(verdict)
            try:
                step.run()
            except NotDone as todo:
                verdict.state, verdict.lines = "not done", [str(todo)]
                return verdict
            except Wrong as wrong:
                verdict.state = "wrong"
                vars(verdict).update(vars(wrong))
                return verdict
            verdict.passed.append(verdict.failed)
            verdict.failed = None
    return verdict
