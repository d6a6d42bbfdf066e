"""The checker against the bank: the library's own file is right, the empty stub is not done yet, and each known mistake
is found by its own hint."""

import pytest

from tinynet.course.exercise import judge
from tinynet.course.exercises import EXERCISES

TWINS = [pytest.param(e, t, id=f"{e.name}-{i}") for e in EXERCISES for i, t in enumerate(e.twins)]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_the_library_is_right(exercise):
    verdict = judge(exercise, exercise.source(), "library")
    assert verdict.state == "right", verdict.lines


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_a_stub_is_not_done_yet(exercise):
    verdict = judge(exercise, exercise.stub("work/x"), "stub")
    assert verdict.state == "not done"
    assert any(hole in verdict.lines[0] for hole in exercise.holes)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_every_bank_has_enough(exercise):
    assert len(exercise.twins) >= 4


@pytest.mark.parametrize("exercise, twin", TWINS)
def test_a_known_mistake_is_found_by_its_own_hint(exercise, twin):
    verdict = judge(exercise, twin.source(exercise.source()), "twin")
    assert verdict.state == "wrong"
    assert (verdict.hint, verdict.see) == (twin.hint, twin.see), verdict.lines
