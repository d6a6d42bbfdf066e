"""Exceptions whose own words are about Python: what the checker makes of them."""

import pytest

from course_answers import filled, verdict_on
from tinynet.course.exercises import by_name

SAVED = "self.saved is a tuple, even of one array: (y,) = self.saved."
RIGHT = {
    "Relu.forward": "self.save(x)\nreturn np.maximum(x, 0)",
    "topological_order": """
        order, listed, stack = [], set(), [last]
        while stack:
            waiting = [p for p in parents(stack[-1]) if p not in listed]
            stack += waiting
            if not waiting:
                function = stack.pop()
                order += [] if function in listed else [function]
                listed.add(function)
        return order
    """,
    "probabilities": "e = np.exp(x - x.max(axis, keepdims=True))\nreturn e / e.sum(axis, keepdims=True)",
}


@pytest.mark.parametrize(
    "name, hole, body, hint",
    [
        ("relu", "Relu.backward", "return dy * (self.saved > 0)", SAVED),
        ("relu", "Relu.backward", "x = self.saved\nreturn np.where(x.copy() > 0, dy, 0)", SAVED),
        ("relu", "Relu.forward", "np.maximum(x, 0)", "Relu.forward returned None: is a `return` missing?"),
        ("relu", "Relu.backward", "dx = dy\nreturn", "Relu.backward returned None: is a `return` missing?"),
        (
            "graph",
            "topological_order",
            "def add(f):\n    return [f]\norder = add(last)",
            "topological_order returned None: is a `return` missing?",
        ),
        ("softmax", "probabilities", "np.exp(x)", "probabilities returned None: is a `return` missing?"),
        (
            "graph",
            "accumulate",
            "if x.leaf:\n    x.leaf.grad += dx\nelse:\n    cotangents[x.function] = [dx] * len(x.function.outputs)",
            "Ask `x.leaf is not None`: a Tensor in an `if` is its number.",
        ),
    ],
)
def test_a_hint(name, hole, body, hint):
    exercise = by_name(name)
    bodies = {other: right for other, right in RIGHT.items() if other in exercise.holes}
    verdict = verdict_on(name, filled(exercise, bodies | {hole: body}))
    assert verdict.state == "wrong"
    assert (verdict.hint, verdict.certain) == (hint, False), verdict.lines


@pytest.mark.parametrize("body", ["raise ValueError('tuple')", "return dy * (no_such_name > 0)"])
def test_no_hint_where_there_is_nothing_to_add(body):
    text = filled(by_name("relu"), {"Relu.forward": RIGHT["Relu.forward"], "Relu.backward": body})
    verdict = verdict_on("relu", text)
    assert verdict.state == "wrong"
    assert verdict.hint == ""
