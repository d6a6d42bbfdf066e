"""From a file of the library to what a student starts from: the same file without the bodies of a few functions.

Comments, signatures, docstrings and shapes stay as they are, because lines are cut out of the text as it stands.
"""

import ast

from tinynet.course.exercise import replaced


def python_stub(exercise, path):
    """The library's text without what the student is to write."""
    text = replaced(exercise.source(), exercise.hide)
    lines = text.splitlines()
    found = functions(ast.parse(text))
    cuts = []  # (first line, last line, what stands there instead), counted from 1
    for name in exercise.holes:
        node = found[name]
        first = node.body[1] if ast.get_docstring(node) else node.body[0]
        instead = [*exercise.given.get(name, ()), f'raise NotImplementedError("{name}")']
        cuts.append((first.lineno, node.end_lineno, [" " * first.col_offset + line for line in instead]))
    for name in exercise.removed:
        node = found[name]
        above = [d.lineno for d in node.decorator_list]
        cuts.append((start_with_blank_lines(lines, min([node.lineno, *above])), node.end_lineno, []))
    if "\nimport numpy as np\n" not in text:
        first = next(node.lineno for node in ast.parse(text).body if is_ours(node))
        cuts.append((first, first - 1, ["import numpy as np", ""]))
    for first, last, instead in sorted(cuts, reverse=True):
        lines[first - 1 : last] = instead
    return "\n".join([*heading(exercise, path, "#"), *lines]) + "\n"


def heading(exercise, path, comment):
    """Lines at the top of every stub. comment: how a line of comment begins."""
    return [
        f'{comment} Exercise {exercise.name}, about {exercise.minutes} minutes: {exercise.page}, "{exercise.section}".',
        f"{comment} Yours to write: {', '.join(exercise.holes)}.",
        f"{comment} Then: python -m tinynet.course check {path}",
    ]


def functions(tree, prefix=""):
    """{"name" or "Class.name": its node} for all functions, classes and methods."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[prefix + node.name] = node
        if isinstance(node, ast.ClassDef):
            found |= functions(node, f"{node.name}.")
    return found


def is_ours(node):
    """Whether it imports from tinynet."""
    return isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "tinynet"


def start_with_blank_lines(lines, first):
    while first > 1 and not lines[first - 2].strip():
        first -= 1
    return first
