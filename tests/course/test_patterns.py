"""Mistakes that are in no bank: what the checker makes of the numbers alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_answers import faulty, verdict_on
from tinynet.course.exercise import judge
from tinynet.course.exercises import EXERCISES, by_name
from tinynet.course.python import PythonExercise
from tinynet.course.report import report

STRIDE = "self.geometry.stride[0]"
FAULTS = {
    "a sign": ("linear", "Linear.backward", "(-dx[0], *dx[1:])", "dx has the wrong sign everywhere"),
    "a number": ("softmax", "Softmax.backward", "1.7 * dx", "dx is right up to a factor: it is 1.7 times"),
    "a size": (
        "linear",
        "Linear.backward",
        "(dx[0], dx[1] / dx[1].shape[0], *dx[2:])",
        "dw is right up to a factor: it is 1/K",
    ),
    "minus a size": ("linear", "Linear.backward", "(-dx[0] * dx[0].shape[-1], *dx[1:])", "it is -C times"),
    "a hyper-parameter": ("local_response_norm", "LocalResponseNorm.forward", "y * self.alpha", "it is alpha times"),
    "p": ("dropout", "Dropout.backward", "dx * self.p", "it is p times"),
    "zeros": ("relu", "Relu.backward", "dx * 0", "dx is 0 everywhere"),
    "nan": ("softmax", "Softmax.forward", "np.where(y > y.mean(), np.nan, y) if y.size else y", "nan or inf"),
    "an input": ("local_response_norm", "LocalResponseNorm.backward", "self.saved[0].copy()", "dx is x, unchanged"),
    "a flip": ("relu", "Relu.forward", "y[:, ::-1].copy()", "y is right up to a flip along C"),
    "a shift": ("conv2d", "Conv2d.backward", "(np.roll(dx[0], 1, 3), *dx[1:])", "shifted by one along W"),
    "a transpose": ("linear", "Linear.forward", "y.T.copy() if y.ndim == 2 else y", "its axes are in the order (1, 0)"),
    "a row's term": (
        "softmax",
        "Softmax.backward",
        "dx + arrays[0].max(self.axis, keepdims=True)",
        "the same all along C. Along C it should sum to 0",
    ),
    "a factor": (
        "local_response_norm",
        "LocalResponseNorm.backward",
        "dx * self.saved[0]",
        "it is multiplied by x once too often",
    ),
    "a lost factor": ("dropout", "Dropout.backward", "dx / arrays[0]", "a factor dy is missing"),
    "a term": (
        "local_response_norm",
        "LocalResponseNorm.backward",
        "dx + 0.5 * arrays[0]",
        "it has +0.5 * dy too much",
    ),
    "where 0": ("relu", "Relu.backward", "dx + 0.5 * (self.saved[0] == 0)", "dx is wrong only where y = 0"),
    "the border": (
        "conv2d",
        "Conv2d.backward",
        "(edge(dx[0]), *dx[1:])",
        "right but for the border: wrong only in the last along H",
    ),
    "one place": ("conv2d", "Conv2d.backward", "(place(dx[0]), *dx[1:])", "dx is wrong only at C = 1."),
    "all but the first": (
        "linear",
        "Linear.forward",
        "np.where(np.arange(len(y))[:, None] < 1, y, np.sin(y)) if y.ndim == 2 else y",
        "right for the first along N only",
    ),
    "stride": ("conv2d", "Conv2d.forward", f"y if {STRIDE} == 1 else np.sin(y)", "y is right with stride=1"),
    "the batch": (
        "conv2d",
        "Conv2d.backward",
        "(dx[0], dx[1] if len(arrays[0]) == 1 else np.sin(dx[1]), *dx[2:])",
        "dw is right with one image",
    ),
    "overlap": (
        "max_pool2d",
        "MaxPool2d.backward",
        "dx if self.windows.stride[0] > 2 else np.sin(dx)",
        "windows that do not overlap",
    ),
    "chance": (
        "dropout",
        "Dropout.forward",
        "y * np.random.default_rng().random(y.shape)",
        "comes out differently each time",
    ),
}
HELPERS = """
def edge(dx):
    dx = dx.copy()
    dx[:, :, -1] = np.sin(dx[:, :, -1])
    return dx

def place(dx):
    dx = dx.copy()
    dx[:, 1:2] = np.sin(dx[:, 1:2])
    return dx
"""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_pattern_is_named(fault):
    name, method, expression, expected = FAULTS[fault]
    verdict = verdict_on(name, faulty(name, method, expression) + HELPERS)
    assert verdict.state == "wrong"
    assert not verdict.certain
    assert expected in verdict.hint


def test_digits_lost_in_float32():
    expression = "y if y.dtype == np.float64 else y.astype(np.float16).astype(np.float32)"
    verdict = verdict_on("relu", faulty("relu", "Relu.forward", expression))
    assert verdict.failed == ["forward", "float32"]
    assert "right in float64, but not in float32" in verdict.lines[0]


def test_float64_from_float32():
    verdict = verdict_on("relu", faulty("relu", "Relu.forward", "y.astype(np.float64)"))
    assert "for inputs of float32 y is float64" in verdict.lines[0]


def test_right_once_and_wrong_the_second_time():
    """Right for the usual sizes (4, 5), and right for the same with a zero; wrong the third time."""
    usual = "y.shape == (4, 5) and y.dtype == np.float64"
    text = faulty("relu", "Relu.forward", f"y + 1 if {usual} and (kept.append(1) or len(kept) > 2) else y")
    verdict = verdict_on("relu", text + "\nkept = []\n")
    assert verdict.failed == ["forward", "twice"]
    assert verdict.lines[0].startswith("y is right once, and wrong the second time")


def test_an_input_that_was_written_to():
    text = faulty("relu", "Relu.forward", "np.maximum(arrays[0], 0, out=arrays[0])")
    verdict = verdict_on("relu", text)
    assert verdict.failed == ["forward", "inputs unchanged"]
    assert verdict.lines[0].startswith("x was changed")


def test_what_is_wrong_in_the_example_by_hand_only_is_no_known_mistake():
    verdict = verdict_on(
        "sgd",
        by_name("sgd").source()
        + """
right = SGD.update
def wrong(self, parameter, group, state):
    right(self, parameter, group, state)
    parameter.data += 1e-3 * (parameter.size == 1)
SGD.update = wrong
""",
    )
    assert verdict.failed == ["update", "example by hand"]
    assert (verdict.hint, verdict.certain) == ("", False)


def test_a_known_mistake_for_some_sizes_and_another_for_others():
    text = faulty("softmax", "Softmax.backward", "(self.saved[0] * arrays[0]) if self.dim == 1 else dx + 1")
    verdict = verdict_on("softmax", text)
    assert verdict.certain
    assert verdict.hint.startswith("the sum over p * dp is missing")
    assert verdict.hint.endswith("(But not for all sizes: there may be something else.)")


def test_a_mistake_in_one_result_beside_another_in_the_next():
    """dx has a known mistake, db one that is not known: the first counts."""
    text = faulty("linear", "Linear.backward", "(dx[0], dx[1] / len(rows(arrays[0])), *(np.sin(d) for d in dx[2:]))")
    verdict = verdict_on("linear", text)
    assert verdict.certain
    assert verdict.hint.startswith("dw is divided by N")
    assert verdict.only == "dw"
    assert "A known mistake gives the same dw: dw is divided by N" in " ".join(report(verdict, by_name("linear")))


def test_a_known_mistake_that_has_something_else_wrong_as_well_is_not_claimed():
    """One of them is a wrong sign in dw and in db; here db is right."""
    verdict = verdict_on("linear", faulty("linear", "Linear.backward", "(dx[0], -dx[1], *dx[2:])"))
    assert verdict.hint == "dw has the wrong sign everywhere."
    assert not verdict.certain


def test_two_mistakes_at_once_are_told_apart_by_what_is_simpler():
    text = faulty("conv2d", "Conv2d.backward", "(dx[0], 2 * dx[1] if len(arrays[0]) == 1 else np.sin(dx[1]), *dx[2:])")
    assert verdict_on("conv2d", text).hint.startswith("With one image, dw is right up to a factor: it is 2 times")
    text = faulty("conv2d", "Conv2d.forward", "y if y.shape[:2] == (1, 1) else np.sin(y)")
    assert verdict_on("conv2d", text).hint.startswith("y is right with one image and one filter.")


def test_what_makes_an_exception_go_away():
    text = faulty("max_pool2d", "MaxPool2d.backward", "dx if self.windows.padding == (0, 0) else dx[:, :, 99]")
    verdict = verdict_on("max_pool2d", text)
    assert verdict.lines[0] == "Right for the usual sizes, wrong with padding=1."
    assert "IndexError" in verdict.lines[1]
    assert verdict.hint.startswith("There is no error with padding=0.")


def test_what_is_no_array():
    verdict = verdict_on("col2im", by_name("col2im").source() + "\ndel col2im\n")
    assert verdict.lines == ["work/col2im.py has no col2im any more; it is what you are to write"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.integers(0, 4), st.floats(-2, 2).filter(lambda a: abs(a) > 1e-3))
def test_one_wrong_element_is_found(i, j, off):
    text = faulty("softmax", "Softmax.backward", f"dx + {off} * (np.arange(dx.size).reshape(dx.shape) == {5 * i + j})")
    verdict = verdict_on("softmax", text)
    assert verdict.state == "wrong"
    assert verdict.failed[0] == "backward"


def test_the_smallest_input_that_shows_it():
    verdict = verdict_on("conv2d", faulty("conv2d", "Conv2d.forward", f"y if {STRIDE} == 1 else np.sin(y)"))
    assert verdict.lines[-1].startswith("y[0, 0, 0, 0]: expected ")
    assert "N=1, C=1, H=1, W=1, K=1, R=1, S=1, stride=2" in verdict.lines[-1]
    assert "padding" not in verdict.lines[-1]


def test_a_sum_over_rows_of_three_axes():
    """dw is what is wrong, and there is a way to say so for the exception, too."""
    own, hint = by_name("linear").source(), "x of two axes. rows() makes (N, C) of any x, for dw and db"
    dw = "matmul(rows(dy).T, rows(x))"
    verdict = verdict_on("linear", own.replace(dw, "dy.T @ x"))
    assert verdict.hint.startswith(f"There is no error with {hint}")
    verdict = verdict_on("linear", own.replace(dw, "dy.T @ x if x.ndim == 2 else (dy.swapaxes(1, 2) @ x)[0]"))
    assert verdict.hint.startswith(f"dw is right with {hint}")


def test_what_is_wrong_with_an_order_is_a_sentence():
    text = by_name("graph").source().replace("    return order\n", "    return sorted(order, key=id)[::-1] + order\n")
    verdict = verdict_on("graph", text)
    assert verdict.lines == [
        "in the example by hand:",
        "    x0 = 3, a = x0 * 2, y = a * (a + 1): three Functions; the first has two users",
        "    how often each Function is in the list should be [1, 1, 1]",
        "    how often each Function is in the list is [2, 2, 2]",
        "a Function is missing in the list, or is in it more than once, for the smallest input that shows it: "
        "leaves=1, operations=1",
    ]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_noise_is_wrong_in_every_exercise(exercise, monkeypatch):
    """An answer that is off everywhere does not pass, and no known mistake is claimed."""
    if not isinstance(exercise, PythonExercise):
        pytest.skip("compares other things than arrays")
    right = exercise.run

    def noisy(module, part, arrays, sizes):
        results = right(module, part, arrays, sizes)
        if module.__file__ != "noisy":
            return results
        return {name: a + np.random.default_rng(a.size).standard_normal(a.shape) for name, a in results.items()}

    monkeypatch.setitem(vars(exercise), "run", noisy)
    verdict = judge(exercise, exercise.source(), "noisy")
    assert verdict.state == "wrong"
    assert verdict.failed[0] == exercise.parts[0]
    assert not verdict.certain
