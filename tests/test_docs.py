"""The pages' tests: their code runs, their outputs are what it prints, their links and maths hold.

A page is one program: its python blocks run in order, in one namespace. A text block right after a
python block is what that block prints, to the letter; a python block without one prints nothing.
"""

import contextlib
import io
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/*.md")])

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


class Block(NamedTuple):
    """What stands between two fences. start: the line of the first fence, end: of the second."""

    language: str
    start: int
    end: int
    text: str


def blocks(page):
    found, opened = [], None
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = re.fullmatch(r"\s*(`{3,})\s*(\w*).*", line)
        if opened is None:
            if fence:
                opened = number, *fence.groups()
        elif line.strip() == opened[1]:
            start, _, language = opened
            text = textwrap.dedent("\n".join(lines[start : number - 1]))
            found.append(Block(language, start, number, text))
            opened = None
    assert opened is None, f"{page.name}:{opened[0]}: this block is never closed"
    return found


def without_blocks(page):
    """The page's text with blocks of code blanked out, line for line."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for block in blocks(page):
        lines[block.start - 1 : block.end] = [""] * (block.end - block.start + 1)
    return "\n".join(lines)


def prose(page):
    """The page's text without any code."""
    return re.sub(r"(`+)[^`]+\1", "code", without_blocks(page))


def promised_output(page, block):
    lines = page.read_text(encoding="utf-8").splitlines()
    for after in blocks(page):
        between = lines[block.end : after.start - 1]
        if after.language == "text" and after.start > block.end and not any(map(str.strip, between)):
            return after.text
    return ""


def without_trailing_space(text):
    return [line.rstrip() for line in text.rstrip().splitlines()]


@every_page
def test_code(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    with np.printoptions():  # puts back what a page sets
        for block in blocks(page):
            if block.language != "python":
                continue
            lines_before = "\n" * block.start  # so that a traceback points into the page
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(lines_before + block.text, str(page), "exec"), namespace)
            got = without_trailing_space(printed.getvalue())
            promised = without_trailing_space(promised_output(page, block))
            assert got == promised, (
                f"{page.name}:{block.start}: this block prints\n\n"
                + "\n".join(got)
                + "\n\nand the page says\n\n"
                + "\n".join(promised)
            )


def headings(page):
    return re.findall(r"(?m)^#+ (.+)$", without_blocks(page))


def anchor(heading):
    """What GitHub calls the place of a heading: #step-3-the-two-sides."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@every_page
def test_links_point_to_files_and_headings(page):
    links = re.findall(r'\]\(([^)\s]+)[^)]*\)|(?:href|src)="([^"]+)"', prose(page))
    for target in (a or b for a, b in links):
        if not re.match(r"[a-z]+:", target):
            name, _, place = target.partition("#")
            path = page.parent / name if name else page
            assert path.exists(), f"{page.name}: the link to {target} leads nowhere"
            assert not place or place in map(anchor, headings(path)), f"{page.name}: {target} names no heading"


@every_page
def test_steps_are_numbered_once_through_a_page(page):
    """So that "conv2d.md, step 4" is one place, and #step-4-the-image-by-col2im a link to it."""
    steps = [heading for heading in headings(page) if heading.lower().startswith("step")]
    for number, heading in enumerate(steps, 1):
        assert heading.startswith(f"Step {number}: "), f"{page.name}: {heading!r} should be step {number}"
    assert not re.search(r"\*\*Step \d", prose(page)), f"{page.name}: a step is a heading"


OPERATIONS = sorted(path.stem for path in ROOT.glob("tinynet/ops/*.py") if path.stem != "__init__")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_page_explains_each_operation(operation):
    """Its row in docs/README.md ends in a link to the page, and the page names its file."""
    readme = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    page = re.search(rf"(?m)^\|.*\(\.\./tinynet/ops/{operation}\.py\).*\]\(([\w./]+\.md)\) \|$", readme)
    assert page, f"docs/README.md: no row says which page explains {operation}.py"
    text = (ROOT / "docs" / page[1]).read_text(encoding="utf-8")
    assert f"/{operation}.py" in text, f"{page[1]} should explain {operation}.py, and does not name it"


# GitHub reads a page as Markdown first and as maths second, so maths must not look like Markdown.
NOT_IN_MATHS = {
    r"\\[^A-Za-z\s]": "Markdown eats a backslash before anything but a letter",
    r"[<*]": "is a tag or a star to Markdown: write \\lt, \\cdot, \\ast",
    r"[^\w\s]_": "may open emphasis: put a letter or digit before the underscore",
    r"\d,\d{3}(?!\d)": "gets a space after the comma: write 1{,}000",
    r"\n\s*[-+>#]": "starts a list, a quote or a heading: do not begin a line with it",
}


@every_page
def test_maths_is_balanced_and_survives_markdown(page):
    parts = re.split(r"(?m)^\$\$$", prose(page))
    assert len(parts) % 2, f"{page.name}: an odd number of lines that are $$"
    maths = parts[1::2]  # each begins with the end of its $$ line
    for paragraph in re.split(r"\n\s*\n", "\n\n".join(parts[::2])):
        pieces = paragraph.split("$")
        assert len(pieces) % 2, f"{page.name}: an odd number of dollar signs in\n{paragraph}"
        for before, inside, after in zip(pieces[::2], pieces[1::2], pieces[2::2], strict=False):
            assert not before or before[-1] in " \n(", f"{page.name}: no space before ${inside}$"
            assert not after or after[0] in " \n.,;:?!)", f"{page.name}: no space after ${inside}$"
            assert inside == inside.strip(), f"{page.name}: space at an end of ${inside}$"
        maths += pieces[1::2]
    for formula in maths:
        for pattern, reason in NOT_IN_MATHS.items():
            found = re.search(pattern, formula)
            assert not found, f"{page.name}: {found[0]!r} {reason}, in\n{formula}"
