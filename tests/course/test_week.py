"""The plan of the course has every exercise, in its own week."""

import re

import pytest

from tinynet.course import week as weeks
from tinynet.course.__main__ import main
from tinynet.course.exercises import EXERCISES
from tinynet.course.week import week
from tinynet.errors import RunError


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_an_exercise_stands_in_its_week(exercise):
    named = [number for number in range(1, 11) if f"`{exercise.name}`" in week(number)]
    assert named == [exercise.week]


def test_a_week_has_all_that_it_should(capsys):
    for number in range(1, 11):
        assert main(["week", str(number)]) == main(["week", str(number), "--answers"]) == 0
        short, text = re.split(r"(?m)(?=^## Week)", capsys.readouterr().out)[1:]
        assert "Answers:" not in short and "--answers prints ours" in short
        questions, answers = (len(re.findall(r"(?m)^\d\. ", part)) for part in text.split("Answers:"))
        assert text.startswith(f"## Week {number}: ") and questions == answers == 3
        assert "exercise" in text
        assert not re.search(r"\]\(|</?(details|summary)", text)
        for path in re.findall(r"(?:docs|tinynet|examples)/[\w/]+\.(?:md|py|cu)", text):
            assert (weeks.PLAN.parents[1] / path).exists(), path


@pytest.mark.parametrize("number", [0, 11, -1])
def test_there_are_ten_weeks(number, capsys):
    assert main(["week", str(number)]) == 2
    assert capsys.readouterr().err == f"the course has weeks 1 to 10, got {number}\n"


def test_without_a_clone_it_says_where_the_plan_is(monkeypatch, tmp_path):
    monkeypatch.setattr(weeks, "PLAN", tmp_path / "course.md")
    with pytest.raises(RunError, match="part of a clone only"):
        week(1)


@pytest.mark.parametrize("number", range(1, 11))
def test_the_minutes_of_exercises_are_theirs(number):
    (minutes,) = re.findall(r"(?m)^\| exercises? .*\| (\d+) \|$", week(number))
    assert int(minutes) == sum(exercise.minutes for exercise in EXERCISES if exercise.week == number)
