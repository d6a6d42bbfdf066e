"""What an experiment is given: runs of settings, for each seed. A run that is done is not done again, whichever
experiment asked for it."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinynet.errors import RunError
from tinynet.experiments.fit import fit, restored
from tinynet.experiments.images import open_images
from tinynet.experiments.page import Page
from tinynet.experiments.setting import Setting
from tinynet.files import replacing
from tinynet.training.predict import answers

LEAST = 40, 10  # training and validation images


class Run(NamedTuple):
    """A finished run. result: {"epochs": rows, "losses": of each step, "trained_error", ...}."""

    folder: Path
    setting: Setting
    result: dict

    @property
    def seconds(self):
        return sum(row["seconds"] for row in self.result["epochs"])

    def final(self, key):
        """In percent if it is an error; of a row's key, the last epoch's."""
        value = self.result[key] if key in self.result else self.result["epochs"][-1][key]
        return value if key.endswith("loss") else 100 * value


class Laboratory:
    """source: of the images. base: the Setting that experiments change. seeds: runs of each setting.

    page: what an experiment writes goes there.
    """

    def __init__(self, source, base, seeds, folder, experiment, workers):
        self.source, self.base, self.seeds = source, base, range(1, seeds + 1)
        self.runs_folder, self.workers = folder / "runs", workers
        self.seconds = 0.0  # of training, in all runs of this experiment
        self.train_set, self.val_set = open_images(source, round(base.image_size * 256 / 224))
        sizes = len(self.train_set), len(self.val_set)
        if sizes[0] < LEAST[0] or sizes[1] < LEAST[1]:
            has = f"{sizes[0]} training and {sizes[1]} validation images"
            raise RunError(f"{source.name} has {has}; experiments need at least {LEAST[0]} and {LEAST[1]}")
        self.classes, self.digest = self.train_set.classes, self.train_set.digest()
        self.page = Page(folder, experiment, self.about())

    def needs(self, classes):
        """Raise RunError if the data set has fewer classes."""
        if len(self.classes) < classes:
            has = f"{self.source.name} has {len(self.classes)}"
            raise RunError(f"{self.page.name} needs at least {classes} classes; {has}")

    def four_layers(self, **changes):
        """What differs from the base in the network of figure 1, on images of 32 x 32 like CIFAR-10's."""
        width = min(2 * self.base.width, 1.0)
        return dict(network="four-layers", recipe="he", image_size=32, width=width, lr=0.003) | changes

    def about(self):
        base, kind = self.base, "drawn shapes" if self.source.name == "shapes" else Path(self.source.name).name
        return (f"{kind}: {len(self.train_set):,} training and {len(self.val_set):,} validation images of "
                f"{len(self.classes)} classes; {base.width:g} of the width, {base.image_size} x {base.image_size} "
                f"pixels, {base.epochs} epochs, recipe {base.recipe}, seeds 1 to {len(self.seeds)}.")

    def train(self, changes, seeds=None):
        """{label: a Run for each seed}. changes: {label: what differs from the base}. start: a list of such Runs."""
        seeds = range(1, seeds + 1) if seeds else self.seeds
        settings = {label: [self.setting(seed, own) for seed in seeds] for label, own in changes.items()}
        every = [setting for own in settings.values() for setting in own]
        folders = [self.runs_folder / setting.key(self.digest) for setting in every]
        missing = {folder: setting for folder, setting in zip(folders, every, strict=True)
                   if not (folder / "result.json").exists()}
        calls = [(fit, folder, self.source, setting) for folder, setting in missing.items()]
        self.work(calls, sum(setting.epochs for setting in missing.values()), "epoch")
        runs = iter([self.finished(folder, setting) for folder, setting in zip(folders, every, strict=True)])
        return {label: [next(runs) for _ in own] for label, own in settings.items()}

    def setting(self, seed, changes):
        changes = dict(changes)
        if "start" in changes:
            changes["start"] = changes["start"][seed - 1].setting
        return self.base.but(seed=seed, **changes)

    def finished(self, folder, setting):
        run = Run(folder, setting, json.loads((folder / "result.json").read_text(encoding="utf-8")))
        self.seconds += run.seconds
        return run

    def scores(self, runs, crops=1):
        """(a list of arrays (N, classes), labels (N,)): each run's probabilities for the validation images."""
        paths = [run.folder / f"scores-{crops}.npz" for run in runs]
        calls = [(save_scores, path, self.source, run.setting, crops)
                 for path, run in zip(paths, runs, strict=True) if not path.exists()]
        self.work(calls, len(calls), "network")
        found = [load_arrays(path) for path in paths]
        return [one["scores"] for one in found], found[0]["labels"]

    def work(self, calls, total, unit):
        """Do the calls (function, *arguments) in processes, with a bar."""
        if calls:
            self.workers.work(calls, total, self.page.name, unit)


def save_scores(path, source, setting, crops, after):
    model, images = restored(path.parent, source, setting)
    found, labels = answers(model, images.to_validate(crops))
    save_arrays(path, scores=found, labels=labels)
    after()


def save_arrays(path, **arrays):
    """A .npz file, whole or not at all: a command that is stopped here does not find half of one later."""
    with replacing(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, **arrays)


def load_arrays(path):
    with np.load(path) as arrays:
        return dict(arrays)
