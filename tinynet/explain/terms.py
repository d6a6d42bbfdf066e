"""The terms of a fully connected layer that matter most: its weights are too many to show them all."""

import numpy as np


def largest_terms(weight, x, most=8):
    """Of y = weight @ x, the `most` largest terms of each sum: (numbers, weights, rest).

    weight: (K, C), x: (C,). numbers: (K, most), which of x's values they belong to, the largest product first.
    weights: (K, most), theirs. rest: (K,), the sum of all other terms.
    """
    products = weight * x  # (K, C)
    most = min(most, len(x))
    numbers = np.argpartition(-np.abs(products), most - 1, axis=1)[:, :most]  # (K, most)
    taken = np.take_along_axis(products, numbers, 1)
    order = np.argsort(-np.abs(taken), axis=1, kind="stable")
    numbers = np.take_along_axis(numbers, order, 1)
    rest = products.sum(1, dtype=np.float64) - taken.sum(1, dtype=np.float64)
    return numbers, np.take_along_axis(weight, numbers, 1), rest
