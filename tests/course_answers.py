"""Wrong answers for the tests: the library's own file with something added at its end."""

import textwrap

from tinynet.course.exercise import judge
from tinynet.course.exercises import by_name

WRAPPED = """

def _wrap(right):
    def wrong(self, *arrays):
        {name} = right(self, *arrays)
        return {expression}
    return wrong

{cls}.{method} = _wrap({cls}.{method})
"""


def faulty(name, method, expression):
    """Source of an answer whose Class.method returns `expression` of the right result: y forward, dx backward.

    Where backward returns several cotangents, dx is a tuple. self and arrays are there, too.
    """
    cls, method = method.split(".")
    result = "dx" if method == "backward" else "y"
    wrap = WRAPPED.format(cls=cls, method=method, name=result, expression=expression)
    return by_name(name).source() + "\nimport numpy as np\n" + wrap


def verdict_on(name, text):
    return judge(by_name(name), text, f"work/{name}.py")


def filled(exercise, bodies):
    """The stub with bodies, {hole: lines}, where it raises NotImplementedError."""
    text = exercise.stub(f"work/{exercise.name}.py")
    for hole, body in bodies.items():
        todo = f'raise NotImplementedError("{hole}")'
        indent = text[: text.index(todo)].rpartition("\n")[2]
        body = textwrap.indent(textwrap.dedent(body).strip("\n"), indent).removeprefix(indent)
        text = text.replace(todo, body)
    return text
