"""The difference between an answer and the library's own file."""

import difflib

from tinynet.errors import RunError


def solution(exercise, path):
    """Lines, those of the answer with -, the library's with +. Raises RunError if nothing has been tried yet."""
    if not path.is_file():
        raise RunError(f"there is no file {path}; python -m tinynet.course start {exercise.name} makes one")
    text = path.read_text(encoding="utf-8", errors="replace")
    if text == exercise.stub(path):
        raise RunError(f"{path} is as `start` wrote it; try first, then compare")
    own = f"tinynet/{exercise.file}"
    lines = difflib.unified_diff(text.splitlines(), exercise.source().splitlines(), str(path), own, n=1, lineterm="")
    return [*lines] or [f"{path} is the same as {own}"]
