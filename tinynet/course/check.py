"""Runs the check of one file in a process of its own, and says what became of it, whatever happens there."""

import itertools
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tinynet.course.exercise import Verdict
from tinynet.course.exercises import by_name
from tinynet.errors import RunError

PRINTED = 10  # lines of what an answer prints


def check(path, seconds=None):
    """The verdict on the file at `path`, which has its exercise's name. seconds: None takes the exercise's."""
    path = Path(path)
    exercise = by_name(path.stem)
    seconds = seconds or exercise.seconds
    if path.name != exercise.file_name:
        raise RunError(f"answers to {exercise.name} are in files called {exercise.file_name}, got {path.name}")
    if not path.is_file():
        raise RunError(f"there is no file {path}; python -m tinynet.course start {exercise.name} makes one")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "verdict.json"
        command = [sys.executable, "-u", "-m", "tinynet.course.child", str(path), exercise.name, str(out), str(seconds)]
        prints = Path(folder) / "prints"
        with open(prints, "wb") as stdout:
            try:
                ended = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=stdout,
                    stderr=subprocess.PIPE, timeout=seconds + 30, encoding="utf-8", errors="replace",
                )
                code, said = ended.returncode, ended.stderr
            except subprocess.TimeoutExpired:
                code, said = None, ""
        verdict = Verdict(**json.loads(out.read_text(encoding="utf-8"))) if out.exists() else Verdict(exercise.name)
        verdict.printed = beginning(prints)
        hang = Path(f"{out}.hang")
        hang = hang.read_text(encoding="utf-8") if hang.exists() else ""
    if code != 0 or (verdict.failed and verdict.state == "right"):
        verdict.state = "wrong"
        verdict.lines = [how_it_ended(path, code, said, hang, seconds)]
    return verdict


def beginning(path):
    """The first lines of a text file, and how many more there are."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip("\n") for line in itertools.islice(file, PRINTED)]
        more = sum(1 for _ in file)
    return [*lines, f"... and {more} more"] if more else lines


def how_it_ended(path, code, said, hang, seconds):
    """One line on an answer that did not come to an end."""
    where = re.search(re.escape(f'File "{path}", line ') + r"(\d+)", hang)
    if hang or code is None:
        line = f", at line {where[1]}" if where else ""
        return f"{path} was still running after {seconds:g} seconds{line}: does a loop never end?"
    if code < 0:
        return f"{path} crashed Python (signal {-code})"
    last = said.strip().splitlines()[-1:] or [f"exit code {code}"]
    return f"the check of {path} ended early: {last[0]}"
