"""Where the code of a Function stands: its class, its formulas, and the line that called it."""

import functools
import inspect
import linecache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def place_of_class(kind):
    """tinynet/ops/relu.py:22 for a class of the library; the file's name for others. The rest of a path is private."""
    found = lines_of(kind)
    return f"{shown(inspect.getsourcefile(kind))}:{found[1]}" if found else ""


def place_of_call(at):
    """net.py:12: y = x * x"""
    if at is None:
        return ""
    return printable(f"{shown(at[0])}:{at[1]}: {linecache.getline(*at).strip()}".removesuffix(": "))


def printable(text):
    """Control characters, which XML cannot hold, as escape sequences."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shown(file):
    file = Path(file)
    return file.relative_to(PACKAGE.parent).as_posix() if PACKAGE in file.parents else file.name


@functools.cache
def lines_of(thing):
    """(source text, number of its first line), or None for what was typed at a prompt."""
    try:
        lines, number = inspect.getsourcelines(thing)
    except (OSError, TypeError):
        return None
    return inspect.cleandoc("\n" + "".join(lines)) if inspect.isfunction(thing) else "".join(lines), number


def code_of(kind, method):
    """(place, source) of the method forward or backward of a Function; of the class if it inherits the method."""
    thing = vars(kind).get(method, kind)
    found = lines_of(thing)
    return (f"{shown(inspect.getsourcefile(thing))}:{found[1]}", found[0]) if found else ("", "")


def formulas_of(kind):
    """(about forward, about backward): the two parts of a docstring in which "Backward" begins a line.

    In the library an operation's formulas stand at the top of its file.
    """
    ours = kind.__module__.startswith("tinynet.")
    documented = inspect.getmodule(kind) if ours else kind
    text = inspect.cleandoc(vars(documented).get("__doc__") or "")
    forward, start, backward = text.partition("\nBackward")
    return forward.strip(), (start + backward).strip() or forward.strip()
