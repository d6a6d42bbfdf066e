"""What a student's exception means, where its own words are about Python and not about the exercise."""

import ast
import re
import traceback

from tinynet.course.stub import functions

HINTS = (  # (in the exception's message, in the code near the line that it comes from, the hint)
    (r"\btuple\b", r"self\.saved", "self.saved is a tuple, even of one array: (y,) = self.saved."),
    (
        r"needs a tensor with one element",
        r"\b(if|while|not|and|or) x\.leaf\b(?!\.| is\b)",
        "Ask `x.leaf is not None`: a Tensor in an `if` is its number.",
    ),
)


def hint(exercise, text, path, error):
    """What `error` says of the answer `text`, which was loaded as the file `path`; "" if there is nothing to add."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    near = "\n".join(text.splitlines()[max(lines[-1] - 4, 0) : lines[-1]]) if lines else ""
    near = re.sub("#.*", "", near)
    for message, code, what in HINTS:
        if re.search(message, str(error)) and re.search(code, near):
            return what
    return missing_return(exercise, text)


def missing_return(exercise, text):
    """In words, if one of the functions that were to be written never returns anything, and the library's does."""
    mine, own = (functions(ast.parse(source)) for source in (text, exercise.source()))
    for hole in exercise.holes:
        if hole in mine and returns(own[hole]) and not returns(mine[hole]):
            return f"{hole} returned None: is a `return` missing?"
    return ""


def returns(node):
    """Whether a function may return something, or is left by raising at its end."""
    found = isinstance(node.body[-1], ast.Raise)
    todo = [*node.body]
    while todo and not found:
        child = todo.pop()
        if isinstance(child, ast.Return):
            found = child.value is not None and ast.unparse(child.value) != "None"
        elif not isinstance(child, ast.FunctionDef | ast.ClassDef):
            todo += ast.iter_child_nodes(child)
    return found
