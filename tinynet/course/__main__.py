"""python -m tinynet.course: write the library's own layers yourself, and learn what is wrong with them."""

import argparse
import contextlib
import itertools
import os
import re
import sys
from pathlib import Path

from tinynet.course import train
from tinynet.course.check import check
from tinynet.course.exercises import EXERCISES, by_name
from tinynet.course.grades import grade
from tinynet.course.report import next_steps, report
from tinynet.course.rights import remember_right, was_right
from tinynet.course.solution import solution
from tinynet.course.week import week
from tinynet.errors import RunError
from tinynet.files import replacing


def main(arguments=None):
    """Returns the exit code: 0 right, 1 wrong or not done, 2 if the command cannot be carried out."""
    try:
        args = parser().parse_args(arguments)
        code = args.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `list | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except RunError as error:
        print(error, file=sys.stderr)
        return error.code


def parser():
    parser = argparse.ArgumentParser(prog="python -m tinynet.course", description=__doc__.partition(": ")[2])
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name, run, *arguments):
        sub = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        for flag, options in arguments:
            sub.add_argument(flag, **options)
        sub.set_defaults(run=run)

    folder = "--folder", dict(default="work", type=Path, help="where answers are (default: work)")
    name = "name", dict(help="of the exercise, as listed")
    command("list", list_all, folder)
    command(
        "start", start, name, folder,
        ("--force", dict(action="store_true", help="start over; what was there is kept beside it, as NAME.py.bak")),
    )
    seconds = "--seconds", dict(type=positive(float), help="how long an answer may run (default: 20; in CUDA, 60)")
    command(
        "check", check_answers, ("file", dict(nargs="?", type=Path, help="such as work/relu.py")), seconds,
        ("--all", dict(action="store_true", help="every answer in --folder, or in students' folders in it")), folder,
        ("--json", dict(type=Path, metavar="FILE", help="with --all: write what was found to FILE")),
    )
    command("solution", show_solution, name, folder)
    command(
        "train", train_with, ("file", dict(type=Path, help="such as work/conv2d.py")),
        ("--steps", dict(type=positive(int), default=20, help="of training (default: 20)")),
        ("--seconds", dict(type=positive(float), default=60, help="how long it may take (default: 60)")),
    )
    command(
        "week", show_week, ("number", dict(type=int, help="1 to 10")),
        ("--answers", dict(action="store_true", help="also those to its questions")),
    )
    return parser


def positive(kind):
    def number(text):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value

    number.__name__ = f"positive {kind.__name__}"  # which argparse calls it by
    return number


def list_all(args):
    """all exercises, in order, and what has been started"""
    print(f"{'':<22}{'week':<6}{'minutes':<9}{'state':<14}page")
    for exercise in EXERCISES:
        state = state_of(args.folder / exercise.file_name, exercise)
        print(f"{exercise.name:<22}{exercise.week:<6}{exercise.minutes:<9}{state:<14}{exercise.page}")
    return 0


def state_of(path, exercise):
    if not path.is_file():
        return "-"
    text = path.read_text(encoding="utf-8", errors="replace")
    left = [hole for hole in exercise.holes if re.search(rf"NotImplementedError\W+{re.escape(hole)}\b", text)]
    return "started" if left else "right" if was_right(path) else "written"


def start(args):
    """a file to write your answer in: the library's own, less what you are to write"""
    exercise = by_name(args.name)
    path = args.folder / exercise.file_name
    if path.exists() and not args.force:
        raise RunError(f"{path} exists already; --force starts over, and keeps it as {path.name}.bak")
    with in_words(f"cannot write {path}"):
        if path.exists():
            path.replace(next(name for name in backups(path) if not name.exists()))
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(exercise.stub(path), encoding="utf-8")
    print(f'{path}: write {", ".join(exercise.holes)}; see {exercise.page}, "{exercise.section}".')
    print(f"Then: python -m tinynet.course check {path}")
    return 0


def backups(path):
    """relu.py.bak, relu.py.bak1, relu.py.bak2, ..."""
    return (path.with_name(f"{path.name}.bak{number or ''}") for number in itertools.count())


def check_answers(args):
    """whether an answer is right; if not, why not"""
    if args.all == bool(args.file):
        raise RunError("check needs a file such as work/relu.py, or --all")
    if args.all:
        return 0 if grade(args.folder, args.json, args.seconds) else 1
    verdict = check(args.file, args.seconds)
    print("\n".join(report(verdict, by_name(args.file.stem))))
    if verdict.state == "right":
        remember_right(args.file)
        print("\n".join(next_steps(args.file)))
    return 0 if verdict.state == "right" else 1


def show_solution(args):
    """your answer compared with the library's, after you have tried"""
    exercise = by_name(args.name)
    print("\n".join(solution(exercise, args.folder / exercise.file_name)))
    return 0


def train_with(args):
    """AlexNet for a few steps, with the library's layer and with yours: the losses side by side"""
    with in_words(f"cannot read {args.file}"):
        text = args.file.read_text(encoding="utf-8", errors="replace")
    rows = train.side_by_side(args.file.stem, text, args.file, args.steps, args.seconds)
    return 0 if train.compare(rows) else 1


def show_week(args):
    """what to read and to do in a week of the course (docs/course.md)"""
    print(week(args.number, args.answers))
    return 0


@contextlib.contextmanager
def in_words(what):
    """An OSError as one line."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{what}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
