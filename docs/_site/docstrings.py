"""Docstrings are plain text, made for help(). Here they get paragraphs, lists of arguments, code and links.

    name: what it is. other: ...     a list of arguments, where these are names of arguments
    `code`                           code
    docs/page.md                     a link to the page
    indented lines                   as they are: a formula, a program
    word  two spaces, then text      a list of such words
"""

import inspect
import re

SHAPES = ["Input", "Input and target", "Target", "Output", "Parameters"]
WORD = re.compile(r"\S+ {2,}\S")


def escaped(text):
    """Plain text for reStructuredText, except that `...` is code and docs/page.md a link."""
    parts = re.split(r"(`[^`]+`|\bdocs/\w+\.md\b)", text)
    for i, part in enumerate(parts):
        if i % 2 == 0:
            parts[i] = re.sub(r"([\\*_|`<>])", r"\\\1", part)
        elif part.startswith("`"):
            parts[i] = f"`{part}`"
        else:
            parts[i] = f":doc:`{part} </{part[5:-3]}>`"
    return "\\ " + "".join(parts)


def sentences(text, names):
    """(names, text) pairs: `a, b: what they are.` becomes ("a, b", "what they are."); other text has no names."""
    name = "|".join(re.escape(name) for name in sorted([*names, *SHAPES], key=len, reverse=True))
    name = rf"(?:{name})(?: \([^)]*\))?"
    named = rf"(?:^|(?<=[.;] )|(?<=\), ))({name}(?:, {name})*): "
    pieces = re.split(rf"{named}|(?<=[.)] )(?=(?:Returns|Raises|forward raises) )", text)
    if pieces[0].strip():
        yield None, pieces[0].strip()
    for names, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        yield names, piece.strip().rstrip(";,")


def paragraph(lines, names):
    if len(lines) > 1 and all(WORD.match(line) for line in lines):
        for line in lines:
            word, text = line.split(None, 1)
            yield f"* ``{word}``: {escaped(text)}"
        return
    for named, text in sentences(" ".join(line.strip() for line in lines), names):
        yield from ["", f"* **{named}**: {escaped(text)}" if named else escaped(text)]


def restructured(docstring, names=()):
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        lines = block.split("\n")
        if all(line.startswith("    ") for line in lines):
            yield from ["::", "", *lines, ""]
        else:
            yield from [*paragraph(lines, names), ""]


def process(app, what, name, obj, options, lines):
    try:
        names = list(inspect.signature(obj).parameters)
    except (TypeError, ValueError):
        names = []
    lines[:] = list(restructured("\n".join(lines), names))


def skip(app, what, name, obj, skipped, options):
    """A named tuple's fields have docstrings that say nothing."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else None


def setup(app):
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}
