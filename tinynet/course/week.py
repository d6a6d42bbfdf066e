"""A week of the course, as docs/course.md has it."""

import posixpath
import re
from pathlib import Path

from tinynet.errors import RunError

PLAN = Path(__file__).resolve().parents[2] / "docs" / "course.md"


def week(number, answers=False):
    """The text of week `number`. Raises RunError if there is none, or if this is an installation without the pages."""
    if not PLAN.is_file():
        raise RunError(f"the course's plan, docs/course.md, is part of a clone only; there is no {PLAN}")
    weeks = re.split(r"(?m)^(?=## Week )", PLAN.read_text(encoding="utf-8"))[1:]
    if not 1 <= number <= len(weeks):
        raise RunError(f"the course has weeks 1 to {len(weeks)}, got {number}")
    return as_plain_text(weeks[number - 1], answers)


def as_plain_text(page, answers):
    """Markdown as it is read in a terminal: links as paths from the top of the clone, no tags, answers if wanted."""
    page = re.sub(r"\[[^\]]*\]\(([^)#]*)[^)]*\)", lambda link: posixpath.normpath(f"docs/{link[1]}"), page)
    if not answers:
        page = re.sub(r"(?s)<details>.*?</details>", "Answer them on paper first; --answers prints ours.", page)
    page = re.sub(r"<summary>(.*?)</summary>", r"\1:", page)
    return re.sub(r"</?details>", "", page).strip()
