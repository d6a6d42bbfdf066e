"""What a network says of pictures, and where it is wrong."""

import numpy as np

from tinynet import functional as F
from tinynet.autograd import tensor
from tinynet.explain.features import features


def predictions(model, images, transform, side, batch_size, most=10_000):
    """(indices (N,), probabilities (N, outputs)) of up to `most` images."""
    last, _ = model.layers[-1]
    indices, logits = features(model, images, transform, side, most, last, batch_size)
    return np.array(indices), F.softmax(tensor(logits), dim=1).numpy()


def confusion_matrix(labels, said, outputs):
    """counts (outputs, outputs): in row i, column j the images of class i that were said to be j."""
    counts = np.zeros((outputs, outputs), np.int64)
    np.add.at(counts, (labels, said), 1)
    return counts


def most_confused(counts, most):
    """Up to `most` classes, in order: all that occur, or else those of the pairs that are confused most often."""
    occurring = np.flatnonzero(counts.sum(0) + counts.sum(1))
    if len(occurring) <= most:
        return occurring.tolist()
    pairs, chosen = np.triu(counts + counts.T, 1), {}
    for pair in np.argsort(-pairs, axis=None, kind="stable"):
        chosen |= dict.fromkeys(divmod(int(pair), len(counts)))
        if len(chosen) >= most:
            break
    return sorted(list(chosen)[:most])


def worst_mistakes(labels, probabilities, most):
    """The numbers of up to `most` images that are something else than said, the surest first."""
    said, sure = probabilities.argmax(1), probabilities.max(1)
    return [n for n in np.argsort(-sure, kind="stable").tolist() if said[n] != labels[n]][:most]
