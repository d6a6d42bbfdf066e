"""Options of a run, each declared once: a dataclass field with its help, its range, and when it may differ.

    @dataclass
    class Options:
        lr: float = option(0.01, "rate at the start", above=0)

From that come the command line, the check of each value, which options a resumed run may change, and which may differ
between ranks. A checkpoint holds the options of its run.
"""

import argparse
import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tinynet.errors import RunError
from tinynet.files import printable
from tinynet.parallel.launch import launched_rank
from tinynet.training.checkpoint import CheckpointError
from tinynet.training.run_folder import check_folder


def option(default, help=None, *, above=None, least=None, below=None, choices=None, names=None, metavar=None,
           may_change=False, may_differ=False):
    """A field of an options class. above, least, below: the range. may_change: on --resume. may_differ: between ranks.

    names: the value is some of these, separated by commas, or "" for none.
    """
    help = f"{help}: {', '.join(names)}" if names else help
    how = dict(help=help, above=above, least=least, below=below, choices=choices, names=names, metavar=metavar)
    return dataclasses.field(default=default, metadata=how | dict(may_change=may_change, may_differ=may_differ))


LARGEST = 10**9  # of any whole number
CHECKPOINT = ".safetensors"


@dataclass
class RunOptions:
    """What every run has, whatever it trains."""

    timeout: float = option(45.0, "how long to wait for a silent process", metavar="SECONDS", above=0, may_change=True)
    seed: int = option(1, "of everything random", least=0)
    workers: int = option(2, "threads that load images", above=0, may_change=True, may_differ=True)
    strict: bool = option(False, "stop at the first unreadable image", may_change=True)
    checkpoint_every: int = option(1000, "save every so many steps, too", metavar="STEPS", above=0, may_change=True)
    stop_after: int = option(0, "save and exit after so many steps in all", metavar="STEPS", least=0, may_change=True)


class Arguments(NamedTuple):
    """A command line: the options that it gives, and what is to be done."""

    given: dict
    out: Path | None
    resume: bool
    evaluate: list  # of checkpoints
    predict: list  # of checkpoints and pictures, in any order
    csv: Path | None

    @property
    def checkpoints(self):
        """The checkpoints to start from; [None] for a new run."""
        if self.resume:
            return [self.out / "checkpoint.safetensors"]
        return self.evaluate or [path for path in self.predict if path.suffix == CHECKPOINT] or [None]

    @property
    def pictures(self):
        return [path for path in self.predict if path.suffix != CHECKPOINT]


class Parser(argparse.ArgumentParser):
    def error(self, message):  # else each rank would print it
        raise RunError(message)

    def print_help(self, file=None):
        if launched_rank() in ("0", "?"):
            super().print_help(file)


def parse(options, description, argv=None, processes=1):
    """Arguments for a dataclass of options: those, and --out, --resume, --evaluate, --predict, --csv. Raises RunError.

    processes: how many mpiexec has started.
    """
    parser = Parser(description=description, allow_abbrev=False)
    fields = {field.name: field for field in dataclasses.fields(options)}
    for name, field in fields.items():
        how = {key: field.metadata[key] for key in ("help", "choices", "metavar") if field.metadata[key]}
        how |= {"action": "store_true", "default": None} if field.type is bool else {"type": field.type}
        parser.add_argument(flag(name), **how)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: a new one under runs/)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--evaluate", type=Path, metavar="CHECKPOINT", nargs="+", default=[],
                        help="only evaluate it, on --data; of several, each, and the average of their softmaxes")
    parser.add_argument("--predict", type=Path, metavar=("CHECKPOINT", "PICTURE"), nargs="+", default=[],
                        help="only say what pictures show, or those in a folder, by a checkpoint, or by the average of "
                        "several; predictions.png comes into --out, or beside the checkpoint")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="with --evaluate or --predict: write the five best "
                        "classes of each picture into this file")
    values = vars(parser.parse_args(argv))
    actions = {name: values.pop(name) for name in ("out", "resume", "evaluate", "predict", "csv")}
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        check_range(name, value, fields[name].metadata)
    arguments = Arguments(given, **actions)
    check_actions(arguments, processes)
    check_out(arguments)
    return arguments


def flag(name):
    return "--" + name.replace("_", "-")


def check_range(name, value, metadata):
    above, least, below, names = (metadata[key] for key in ("above", "least", "below", "names"))
    if above is not None and not above < value < math.inf:
        raise RunError(f"{flag(name)} must be more than {above}, got {value}")
    if least is not None and not least <= value < math.inf:
        raise RunError(f"{flag(name)} must be {least} or more, got {value}")
    if isinstance(value, int) and value > LARGEST:
        raise RunError(f"{flag(name)} must be at most {LARGEST:,}, got {value:,}")
    if below is not None and value >= below:
        raise RunError(f"{flag(name)} must be less than {below}, got {value}")
    if names and (unknown := [part for part in value.split(",") if value and part not in names]):
        raise RunError(f"{flag(name)} must be names out of {', '.join(names)}, got {', '.join(unknown)}")
    if value == "" and not names:
        raise RunError(f"{flag(name)} must not be empty")


def check_actions(arguments, processes):
    _, _, resume, evaluate, predict, csv = arguments
    asked = [flag for flag, value in (("--resume", resume), ("--evaluate", evaluate), ("--predict", predict)) if value]
    if len(asked) > 1:
        raise RunError(f"{' and '.join(asked)} cannot be combined")
    if predict and not (arguments.pictures and arguments.checkpoints != [None]):
        got = ", ".join(map(printable, predict[:3])) + ", ..." * (len(predict) > 3)
        expected = f"a checkpoint, such as runs/NAME/checkpoint{CHECKPOINT}, and pictures"
        raise RunError(f"--predict needs {expected}; got {got}")
    if csv and not (evaluate or predict):
        raise RunError("--csv needs --evaluate or --predict")
    if csv and (csv.is_dir() or not csv.parent.is_dir()):
        raise RunError(f"--csv must be a file in a folder that exists, got {printable(csv)}")
    if processes > 1 and (predict or csv or len(evaluate) > 1):
        raise RunError("--predict, --csv and several checkpoints are for one process: run it without mpiexec")


def check_out(arguments):
    out, resume = arguments.out, arguments.resume
    if out and out.exists() and not out.is_dir():
        raise RunError(f"--out must be a folder, {out} is a file")
    if resume and out is None:
        raise RunError("--resume needs --out, the folder of the run to go on with")
    if out and arguments.checkpoints == [None]:  # a new run
        if (out / "checkpoint.safetensors").exists():
            raise RunError(f"{out} already holds a run: add --resume to go on with it, or choose another --out")
        check_folder(out)


def resumed_options(options, saved, given):
    """The options stored in a checkpoint, with those changed that may change."""
    kinds = {"options": dict, "classes": list, "files": str, "threads": int}
    if not all(isinstance(saved.info.get(name), kind) for name, kind in kinds.items()):
        raise CheckpointError(f"{saved.path} is a checkpoint, but not of this program")
    stored, fields = saved.info["options"], {field.name: field for field in dataclasses.fields(options)}
    check_stored(saved, stored, fields)
    for name in given:
        before = stored.get(name, fields[name].default)
        if given[name] != before and not fields[name].metadata["may_change"]:
            raise RunError(f"{saved.path} was trained with {flag(name)} {before}, got {given[name]}")
    return options(**stored | given)


def check_stored(saved, stored, fields):
    """Raise CheckpointError unless a checkpoint's options are ones that the command line could have given."""
    if unknown := stored.keys() - fields.keys():
        raise CheckpointError(f"{saved.path} has options that this program lacks: {', '.join(sorted(unknown))}")
    for name, value in stored.items():
        field = fields[name]
        kinds = (float, int) if field.type is float else field.type
        choices = field.metadata["choices"]
        if not isinstance(value, kinds) or (isinstance(value, bool) and field.type is not bool):
            raise CheckpointError(f"{saved.path}: its {name} is {value!r}, expected {field.type.__name__}")
        if len(str(value)) > 4096:  # no path is longer
            raise CheckpointError(f"{saved.path}: its {name} has {len(str(value)):,} characters")
        try:
            if choices and value not in choices:
                raise RunError(f"{flag(name)} must be one of {', '.join(choices)}, got {value}")
            check_range(name, value, field.metadata)
        except RunError as error:
            raise CheckpointError(f"{saved.path}: its {error}") from error


def fingerprint(options):
    """The options that must be the same on all ranks, by name."""
    fields = {field.name: field for field in dataclasses.fields(options)}
    return {name: x for name, x in dataclasses.asdict(options).items() if not fields[name].metadata["may_differ"]}
