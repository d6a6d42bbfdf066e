"""All answers of a folder, or of students' folders in it: a table, and a file for a program."""

import json
from concurrent.futures import ThreadPoolExecutor

from tinynet.backend import usable_cores
from tinynet.course.check import check
from tinynet.course.exercises import EXERCISES
from tinynet.errors import RunError
from tinynet.files import printable, replacing


def answers(folder):
    """[(student, path)] in order: folder/relu.py has student "", folder/alice/relu.py has "alice"."""
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}")
    names = [exercise.file_name for exercise in EXERCISES]
    students = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    found = [("" if home == folder else home.name, home / name) for home in students for name in names]
    found = [(student, path) for student, path in found if path.is_file()]
    if not found:
        raise RunError(f"{folder} holds no answers: files called {names[0]}, {names[1]}, ..., or folders of them")
    return found


def grade(folder, out, seconds):
    """Check all answers in `folder`, print a line for each, and write them to `out` as JSON, unless it is None.

    Returns whether all are right.
    """
    found = answers(folder)
    if out and not out.parent.is_dir():
        raise RunError(f"cannot write {out}: there is no folder {out.parent}")
    width = max(len(printable(student)) for student, _ in found)
    grades = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        verdicts = pool.map(lambda answer: check(answer[1], seconds), found)
        for (student, path), verdict in zip(found, verdicts, strict=True):
            grades.setdefault(student, {})[path.stem] = verdict.as_dict()
            print(f"{printable(student):<{width}}  {path.stem:<20}  {verdict.state:<9} {summary(verdict)}", flush=True)
    if out:
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(grades, indent=2), encoding="utf-8")
    states = [verdict["state"] for by_exercise in grades.values() for verdict in by_exercise.values()]
    print(f"{states.count('right')} of {len(states)} are right")
    return set(states) == {"right"}


def summary(verdict):
    """Where it stopped, and the hint, or else the first line of what is known."""
    if verdict.state == "right":
        return ""
    where = " ".join(word for word in verdict.failed or () if word)
    return f"{where}: {verdict.hint or ' '.join(verdict.lines).splitlines()[0]}"
