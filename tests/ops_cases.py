"""Shared by the tests of several operations: inputs away from kinks, values that are not tensors, targets of losses."""

import itertools

import numpy as np

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

NOT_TENSORS = [1.0, [1.0], np.ones(3)]


def torch_function(torch, name):
    return getattr(torch, name, None) or getattr(torch.nn.functional, name)


def away_from(rng, shape, *kinks):
    """Normal numbers, none of them near a kink, where finite differences measure no slope."""
    x = rng.standard_normal(shape)
    for kink in kinks:
        x = np.where(np.abs(x - kink) < 0.01, kink + 0.05, x)
    return np.asarray(x)


def distinct(rng, shape):
    """No two elements near each other: a maximum has a kink at a tie."""
    return np.asarray(rng.permutation(np.arange(np.prod(shape, dtype=int)) * 0.375 - 1).reshape(shape))


# ---------------------------------------------------------------------------- nll_loss and cross_entropy

REDUCTIONS = ["none", "sum", "mean"]
SHAPES = [(5,), (1, 1), (4, 3), (2, 3, 4), (2, 3, 2, 3), (0, 3), (0, 3, 2)]


def class_count(shape):
    return shape[0 if len(shape) == 1 else 1]


def targets(rng, shape, ignored):
    """Classes for an input of `shape`; about a third of them `ignored`, but never the first."""
    positions = () if len(shape) == 1 else (shape[0], *shape[2:])
    t = rng.integers(0, class_count(shape), positions)
    if t.size > 1:
        t.reshape(-1)[0] = 0
        t.reshape(-1)[1:][rng.random(t.size - 1) < 0.4] = ignored
    return t


def assert_loss_same_as_torch(torch, rng, dtype, device, name, scores, probabilities=None, **how):
    """F.name and PyTorch's agree for all SHAPES, with and without weights, on inputs drawn by scores(shape).

    The targets are classes, or differentiable, as drawn by probabilities(shape).
    """
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    for shape, weighted in itertools.product(SHAPES, [False, True]):
        x = scores(shape)
        t = probabilities(shape) if probabilities else targets(rng, shape, how["ignore_index"])
        if how["reduction"] == "mean" and (0 in shape or (t == how.get("ignore_index")).all()):
            continue  # the mean of nothing is nan, which has a test of its own
        w = rng.uniform(0.5, 2, class_count(shape)).astype(dtype) if weighted else None
        constants = (w,) if probabilities else (t, w)
        our = [None if a is None else tinynet.tensor(a, device=device) for a in constants]
        their = [None if a is None else torch.tensor(a) for a in constants]
        assert_same_as_torch(
            torch,
            lambda *a: ours(*a, *our, **how),  # noqa: B023
            lambda *a: theirs(*a, *their, **how),  # noqa: B023
            [x, t] if probabilities else [x],
            dtype,
            device,
        )
