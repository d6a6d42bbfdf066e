"""python -m tinynet.course: write the library's own layers yourself, and learn what is wrong with them."""

import argparse
import contextlib
import sys
from pathlib import Path

from tinynet.course import train
from tinynet.course.check import SECONDS, check
from tinynet.course.exercises import EXERCISES, by_name
from tinynet.course.grades import grade
from tinynet.course.report import report
from tinynet.course.solution import solution
from tinynet.errors import RunError
from tinynet.files import replacing


def main(arguments=None):
    """Returns the exit code: 0 right, 1 wrong or not done, 2 if the command cannot be carried out."""
    try:
        args = parser().parse_args(arguments)
        return args.run(args)
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
    seconds = "--seconds", dict(type=float, default=SECONDS, help=f"how long an answer may run (default: {SECONDS})")
    command(
        "check", check_answers, ("file", dict(nargs="?", type=Path, help="such as work/relu.py")), seconds,
        ("--all", dict(action="store_true", help="every answer in --folder, or in students' folders in it")), folder,
        ("--json", dict(type=Path, metavar="FILE", help="with --all: write what was found to FILE")),
    )
    command("solution", show_solution, name, folder)
    command(
        "train", train_with, ("file", dict(type=Path, help="such as work/conv2d.py")),
        ("--steps", dict(type=int, default=20, help="of training (default: 20)")), seconds,
    )
    return parser


def list_all(args):
    """all exercises, in order, and what has been started"""
    print(f"{'':<22}{'week':<6}{'minutes':<9}{'state':<14}page")
    for exercise in EXERCISES:
        path = args.folder / exercise.file_name
        print(f"{exercise.name:<22}{exercise.week:<6}{exercise.minutes:<9}{state(path):<14}{exercise.page}")
    return 0


def state(path):
    if not path.is_file():
        return "-"
    unfinished = "NotImplementedError" in path.read_text(encoding="utf-8", errors="replace")
    return "started" if unfinished else "written"


def start(args):
    """a file to write your answer in: the library's own, less what you are to write"""
    exercise = by_name(args.name)
    path = args.folder / exercise.file_name
    if path.exists():
        if not args.force:
            raise RunError(f"{path} exists already; --force starts over, and keeps it as {path.name}.bak")
        path.replace(path.with_name(f"{path.name}.bak"))
    with in_words(f"cannot write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(exercise.stub(path), encoding="utf-8")
    print(f'{path}: write {", ".join(exercise.holes)}; see {exercise.page}, "{exercise.section}".')
    print(f"Then: python -m tinynet.course check {path}")
    return 0


def check_answers(args):
    """whether an answer is right; if not, why not"""
    if args.all == bool(args.file):
        raise RunError("check needs a file such as work/relu.py, or --all")
    if args.all:
        return 0 if grade(args.folder, args.json, args.seconds) else 1
    verdict = check(args.file, args.seconds)
    print("\n".join(report(verdict, by_name(args.file.stem))))
    return 0 if verdict.state == "right" else 1


def show_solution(args):
    """your answer compared with the library's, after you have tried"""
    exercise = by_name(args.name)
    print("\n".join(solution(exercise, args.folder / exercise.file_name)))
    return 0


def train_with(args):
    """AlexNet for a few steps, with the library's layer and with yours: the losses side by side"""
    with in_words(f"cannot read {args.file}"):
        text = args.file.read_text(encoding="utf-8")
    rows = train.side_by_side(args.file.stem, text, args.file, args.steps, args.seconds)
    return 0 if train.compare(rows) else 1


@contextlib.contextmanager
def in_words(what):
    """An OSError as one line."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{what}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
