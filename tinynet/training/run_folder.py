"""The folder of a run: its name, and what stands in it besides checkpoint and figures."""

import contextlib
import dataclasses
import json
import platform
from pathlib import Path

import numpy as np

import tinynet
from tinynet import backend
from tinynet.errors import RunError
from tinynet.files import printable
from tinynet.training.checkpoint import remove_leftovers


def check_folder(out):
    """Raise RunError if `out` holds files that a run would overwrite and that are not a run's."""
    config, metrics = out / "config.json", out / "metrics.csv"
    ours = False
    if config.exists():
        try:
            ours = "tinynet" in json.loads(config.read_text(encoding="utf-8"))["versions"]
        except (OSError, ValueError, KeyError, TypeError):
            ours = False
    for path in (config, metrics):
        if path.exists() and not ours:
            raise RunError(f"{path} is not of a run of this program, and would be overwritten: choose another --out")


def make_folder(out, name):
    """`out`, or the first of runs/NAME, runs/NAME-2, ... that does not exist yet."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
        if (out / "config.json").exists():  # else the folder is somebody's own
            remove_leftovers(out)
        return out
    path, n = Path("runs") / name, 1
    while True:
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            n += 1
            path = Path("runs") / f"{name}-{n}"


def write_config(folder, options, **more):
    """config.json: the options, and with which versions the run began (a resumed run keeps them)."""
    versions = {"tinynet": tinynet.__version__, "numpy": np.__version__, "python": platform.python_version()}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        versions = json.loads((folder / "config.json").read_text(encoding="utf-8"))["versions"]
    config = dataclasses.asdict(options) | {"versions": versions} | more
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def run_info(options, loaders):
    """What a checkpoint says of its run besides the parts' states."""
    train = loaders.train.dataset
    return {"options": dataclasses.asdict(options), "threads": backend.num_threads(), "classes": train.classes,
            "files": train.digest()}


def report_skipped(loaders, ranks):
    """Print which images could not be read, by all ranks."""
    own = {str(path): reason for loader in loaders for path, reason in loader.skipped.items()}
    everyones = {path: reason for skipped in ranks.all_gather_object(own) for path, reason in skipped.items()}
    if everyones and ranks.rank == 0:
        print(f"{len(everyones)} images could not be read and were skipped:")
        print(*sorted(printable(f"  {path}: {reason}") for path, reason in everyones.items()), sep="\n")
