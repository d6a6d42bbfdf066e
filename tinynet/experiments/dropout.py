"""Dropout (section 4.2): does the network overfit without it, and does it take twice as long with it?

Overfitting: how much lower the training error is than the validation error, both of the trained network. A short run on
many images hardly overfits, so there is a long one on FEW images of each class, too. The time: how many epochs each
takes to the training loss that the slower one ends with, measured on batches as they are trained on.
"""

from tinynet.experiments.page import spread, times_as_long

CLAIM = "without dropout the network overfits substantially; with it, training takes about twice as long (4.2)"
FEW = 100


def run(lab):
    long = {"per_class": FEW, "epochs": 4 * lab.base.epochs}
    runs = lab.train({"dropout": {}, "no dropout": {"dropout": 0.0}})
    few = lab.train({"dropout (few)": long, "no dropout (few)": long | {"dropout": 0.0}})
    for title, own in (("all images", runs), (f"{FEW} images of each class, four times as many epochs", few)):
        lab.page.text(f"With {title}:")
        lab.page.results(own)
        with_it, without = own
        lab.page.difference(own, without, with_it, "positive")
        lab.page.overfitting(own, without, with_it, "substantial")
        times = times_as_long(*own.values())
        lab.page.text(f"- Epochs to the same training loss, with dropout / without: {spread(times, 2)}; the paper: "
                      "about 2.")
    lab.page.curves(runs | few)
