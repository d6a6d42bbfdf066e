"""python -m tinynet.experiments: the paper's claims, each as a command."""

import argparse
import importlib
import os
import sys
from pathlib import Path

from tinynet import backend
from tinynet.errors import RunError
from tinynet.experiments.images import Source
from tinynet.experiments.laboratory import Laboratory
from tinynet.experiments.setting import FULL, SMALL, TINY
from tinynet.experiments.workers import Workers

NAMES = ("relu-vs-tanh", "lrn", "overlap", "dropout", "augmentation", "columns", "depth", "decay", "specialize",
         "initialization", "batch-size", "ensemble", "pretrain", "features", "finetune")


def main(arguments=None):
    """Returns the exit code: 0, or 2 if the command cannot be carried out."""
    try:
        args = parser().parse_args(arguments)
        if args.list or not args.name:
            print(*(f"{name:15} {module(name).CLAIM}" for name in NAMES), sep="\n")
            return 0
        check_device(args.device)
        with Workers(args.processes) as workers:
            for name in NAMES if args.name == "all" else [args.name]:
                perform(name, args, workers)
        return 0
    except BrokenPipeError:  # `--list | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the epoch where it was", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: cannot read or write: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code


def check_device(device):
    """Raise RunError if it is not there."""
    try:
        backend.library(device)
    except (ValueError, RuntimeError) as error:
        raise RunError(str(error)) from error


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise RunError(message)


def parser():
    parser = Parser(prog="python -m tinynet.experiments", description=__doc__.partition(": ")[2], allow_abbrev=False)
    parser.add_argument("name", nargs="?", type=known, help=f"{', '.join(NAMES)}, or all")
    parser.add_argument("--list", action="store_true", help="the experiments, and what each tests")
    parser.add_argument("--data", default="shapes", help="a folder with train/<class>/ and val/<class>/; or shapes "
                        "(drawn; the default), imagenette or cifar10 (downloaded)")
    parser.add_argument("--seeds", type=positive, default=3, help="runs of each setting (default: 3)")
    parser.add_argument("--epochs", type=positive, help="of each run (default: 10; the paper's setting has 90)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="the paper's setting: for a GPU, or for weeks")
    size.add_argument("--tiny", action="store_true", help="seconds, on a few drawn shapes: to see that it works")
    parser.add_argument("--out", type=Path, default=Path("runs/experiments"), metavar="DIR",
                        help="tables, figures and finished runs (default: runs/experiments)")
    parser.add_argument("--processes", type=positive, default=backend.usable_cores(),
                        help="runs at the same time, with one core each (default: one per core)")
    parser.add_argument("--device", default="cpu", help="cpu (default), or cuda:0, which all processes then share")
    return parser


def known(name):
    name = name.replace("isation", "ization").replace("specialise", "specialize")  # the paper's readers spell both ways
    if name not in (*NAMES, "all"):
        raise argparse.ArgumentTypeError(f"there is no experiment {name}; there are {', '.join(NAMES)}, and all")
    return name


def positive(text):
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text}")
    return int(text)


def module(name):
    return importlib.import_module(f"tinynet.experiments.{name.replace('-', '_')}")


def perform(name, args, workers):
    experiment, base = module(name), FULL if args.full else TINY if args.tiny else SMALL
    if args.epochs:
        base = base.but(epochs=args.epochs)
    source = Source(args.data, args.tiny, args.device)
    lab = Laboratory(source, base, args.seeds, args.out, name, workers)
    lab.page.text(f"# {name}: {experiment.CLAIM}")
    experiment.run(lab)
    lab.page.text(f"{lab.page.about} {lab.seconds / 60:.1f} minutes of training on one core.")
    lab.page.finish()


if __name__ == "__main__":
    sys.exit(main())
