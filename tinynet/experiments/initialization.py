"""The first weights (section 5): four recipes, and why a loss may stay at the logarithm of the number of classes.

The paper's text draws all weights with a standard deviation of 0.01 and sets most biases to 1. Then hardly any of the
first logits depends on the image (the share in the table; docs/initialization.md), and the network first has to grow
out of that: for 1000 classes, at a loss of log(1000) = 6.9.
"""

import math

import numpy as np

from tinynet import explain
from tinynet.experiments.images import Images
from tinynet.experiments.networks import make_network
from tinynet.experiments.page import spread
from tinynet.models import RECIPES

CLAIM = "biases of 1 accelerate the early stages of learning, because ReLUs get positive inputs (5)"


def run(lab):
    runs = lab.train({name: {"recipe": name} for name in RECIPES})
    plateau = math.log(len(lab.classes))
    shares = {name: f"{share(lab, own[0].setting):.1%}" for name, own in runs.items()}
    stuck = {name: spread([first_below(run, 0.95 * plateau) for run in own], 0) for name, own in runs.items()}
    lab.page.results(runs, logits_from_the_image=shares, steps_to_leave_the_plateau=stuck)
    lab.page.text(f"- The plateau: a loss of log({len(lab.classes)}) = {plateau:.2f}; it is left when the mean of 20 "
                  "steps is 5 % below.")
    lab.page.difference(runs, "paper", "he", "")
    lab.page.difference(runs, "caffe", "paper", "positive: its biases are 0.1, and not 1")
    lab.page.curves(runs, ("loss", "val_error"), ("training loss", "validation error, %"))


def share(lab, setting):
    images, _ = next(iter(Images(setting, lab.source).to_train()))
    return explain.signal_share(make_network(setting, len(lab.classes)), images)["fc8"]


def first_below(run, goal, window=20):
    """The first step at which the mean loss of the last `window` steps is below the goal; all steps if it never is."""
    losses = np.array(run.result["losses"])
    means = np.convolve(losses, np.ones(window) / window, "valid")
    below = np.flatnonzero(means < goal)
    return int(below[0]) + window if len(below) else len(losses)
