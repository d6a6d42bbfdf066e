"""Several networks (section 6, table 2): their probabilities averaged, over ten crops each.

The networks differ in their seeds alone: in the first weights, the order of the images and the augmentation. Of three
out of five, all ten choices are tested.
"""

from itertools import combinations

import numpy as np

from tinynet.experiments.fit import errors
from tinynet.experiments.page import COLORS, one_plot, spread

CLAIM = "five networks, averaged, have a top-1 error 2.6 and a top-5 error 1.8 points below one's (6, table 2)"


def run(lab):
    most = max(5, len(lab.seeds))
    scores, labels = lab.scores(lab.train({"one": {}}, seeds=most)["one"], crops=10)
    tested = {}
    for n in (1, 3, 5):
        means = [np.mean([scores[i] for i in chosen], axis=0) for chosen in combinations(range(most), n)]
        tested[n] = [errors(mean, labels) for mean in means]
    rows = [[str(n), *(spread([100 * error[key] for error in own]) for key in ("error", "top5"))]
            for n, own in tested.items()]
    lab.page.table(["networks", "top-1 error", "top-5 error"], rows)
    for key, what, paper in (("error", "top-1", "+2.6"), ("top5", "top-5", "+1.8")):
        five = 100 * np.mean([error[key] for error in tested[5]])
        gains = [100 * error[key] - five for error in tested[1]]
        lab.page.text(f"- {what} error, one network less five averaged: {spread(gains)} points; the paper: {paper}.")
    figure, axes = one_plot("networks averaged", "validation error, %")
    for x, own in tested.items():
        axes.plot([x] * len(own), [100 * error["error"] for error in own], ".", color=COLORS[0])
    axes.plot(list(tested), [100 * np.mean([e["error"] for e in own]) for own in tested.values()], color=COLORS[1])
    lab.page.save(figure)
