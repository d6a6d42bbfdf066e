"""The last hidden layer as features (section 6.1, figure 4): a linear classifier and retrieval, against raw pixels.

Retrieval: of the 6 nearest training images of a validation image, by Euclidean distance, the share of its class. The
classifier is ridge regression on the classes' indicators; its strength is chosen on a fifth of the training images.
"""

import numpy as np

from tinynet import explain
from tinynet.experiments.fit import restored
from tinynet.experiments.laboratory import load_arrays, save_arrays
from tinynet.experiments.page import COLORS, one_plot, spread

CLAIM = "images whose fc7 outputs are near are alike, though their pixels are not near (6.1, figure 4)"
NEAREST, MOST = 6, 3000


def run(lab):
    runs = lab.train({"figure 2": {}})["figure 2"]
    paths = [run.folder / "features.npz" for run in runs]
    missing = [(path, run) for path, run in zip(paths, runs, strict=True) if not path.exists()]
    lab.work([(save_features, path, lab.source, run.setting) for path, run in missing], len(missing), "network")
    found = [load_arrays(path) for path in paths]
    shares = {kind: [retrieval(one, kind) for one in found] for kind in ("fc7", "pixels")}
    errors = {kind: [100 * classify(one, kind) for one in found] for kind in ("fc7", "pixels")}
    lab.page.table(["", f"right among the {NEAREST} nearest, %", "error of a linear classifier, %"],
                   [[kind, spread([100 * share[NEAREST - 1] for share in shares[kind]]), spread(errors[kind])]
                    for kind in shares])
    nearest = [[100 * share[NEAREST - 1] for share in shares[kind]] for kind in shares]
    lab.page.compare("right among the nearest, fc7 less pixels", *nearest, " points", "positive")
    lab.page.compare("classifier's error, pixels less fc7", errors["pixels"], errors["fc7"], " points", "positive")
    figure, axes = one_plot("nearest training images", "of the same class, %")
    for color, (kind, own) in zip(COLORS, shares.items(), strict=False):
        axes.plot(np.arange(1, len(own[0]) + 1), 100 * np.mean(own, axis=0), color=color, label=kind)
    axes.axhline(100 / len(lab.classes), color=COLORS[6], ls=":", label="chance")
    axes.legend(frameon=False, fontsize=8)
    lab.page.save(figure)


def save_features(path, source, setting, after):
    model, images = restored(path.parent, source, setting)
    plain, found = images.to_validate(), {}

    def transform(image):
        return plain.transform(plain.crop(image))

    for split, part in (("train", images.train), ("val", images.val)):
        chosen, found[f"{split}-fc7"] = explain.features(model, part, transform, images.side, MOST)
        pixels = [transform(part.image(i, images.side)) for i in chosen]
        found[f"{split}-pixels"] = np.array(pixels).reshape(len(pixels), -1)
        found[f"{split}-labels"] = part.labels[chosen]
    save_arrays(path, **found)
    after()


def retrieval(found, kind):
    """(NEAREST * 5,): among the 1, 2, ... nearest training images of each validation image, the share of its class."""
    known, asked = found[f"train-{kind}"], found[f"val-{kind}"]
    distances = (known**2).sum(1) - 2 * asked @ known.T  # and the query's own square, the same in its row
    nearest = np.argsort(distances, axis=1)[:, : NEAREST * 5]
    same = found["train-labels"][nearest] == found["val-labels"][:, None]
    return np.cumsum(same.mean(0)) / np.arange(1, same.shape[1] + 1)


def classify(found, kind):
    """The error of ridge regression, in its dual form: as many unknowns as there are training images."""
    x, y = found[f"train-{kind}"], np.eye(found["train-labels"].max() + 1)[found["train-labels"]]
    mean, order = x.mean(0), np.random.default_rng(0).permutation(len(x))
    fifth, rest = np.split(order, [len(x) // 5])

    def error(train, x_test, labels, strength):
        kernel = (x[train] - mean) @ (x[train] - mean).T
        weights = np.linalg.solve(kernel + strength * np.trace(kernel) / len(train) * np.eye(len(train)), y[train])
        return float(((((x_test - mean) @ (x[train] - mean).T) @ weights).argmax(1) != labels).mean())

    best = min([0.01, 0.1, 1.0, 10.0], key=lambda s: error(rest, x[fifth], found["train-labels"][fifth], s))
    return error(order, found[f"val-{kind}"], found["val-labels"], best)
