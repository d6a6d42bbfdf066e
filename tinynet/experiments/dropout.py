"""Dropout (section 4.2): does the network overfit without it, and does it take twice as long with it?

Overfitting: how much lower the training error is than the validation error, both of the trained network. The time: how
many epochs each takes to the training loss that the slower one ends with, measured on batches as they are trained on.
"""

from tinynet.experiments.page import spread, times_as_long

CLAIM = "without dropout the network overfits substantially; with it, training takes about twice as long (4.2)"


def run(lab):
    runs = lab.train({"dropout": {}, "no dropout": {"dropout": 0.0}})
    lab.page.results(runs)
    lab.page.difference(runs, "no dropout", "dropout", "positive")
    lab.page.overfitting(runs, "no dropout", "dropout", "substantial")
    times = times_as_long(runs["dropout"], runs["no dropout"])
    lab.page.text(f"- Epochs to the same training loss, with dropout / without: {spread(times, 2)}; "
                  "the paper: about 2.")
    lab.page.curves(runs)
