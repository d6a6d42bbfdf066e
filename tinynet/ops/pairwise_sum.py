"""Sums that stay accurate however many numbers they add (pairwise summation).

Each addition rounds. One number after the other, the error grows with their count n: in float32 the mean of ten million
times 0.1 comes out as 0.1088. Adding in blocks, and then the blocks' sums in blocks, rounds each number only about
log(n) times. NumPy adds like this along the axes that lie innermost in memory, but over outer axes row by row.
"""

import math

from tinynet.autograd import FLOATS
from tinynet.backend import array_module

ROWS = 4096  # so many one after the other do no harm
BLOCK = 128  # as NumPy's own


def pairwise_sum(x, axes, keepdims=False):
    """x.sum(axes), accurately; up to ROWS rows it is x.sum to the bit. axes: a tuple of ints from 0 to ndim - 1."""
    if math.prod([x.shape[axis] for axis in axes]) > ROWS and x.dtype in FLOATS and rows(x, axes) > ROWS:
        while rows(x, axes) > BLOCK:
            x = sums_of_blocks(x, max(axes, key=lambda axis: x.shape[axis]))
    return x.sum(axis=axes, keepdims=keepdims)


def rows(x, axes):
    """How many rows x.sum(axes) adds one after the other: all but what lies together in memory."""
    count, expected = math.prod([x.shape[axis] for axis in axes]), None
    outwards = sorted(range(x.ndim), key=lambda axis: abs(x.strides[axis]) or math.inf)
    for axis in [axis for axis in outwards if x.shape[axis] > 1]:
        stride = abs(x.strides[axis])
        if axis not in axes or stride != (expected or stride) or stride == 0:
            break
        count, expected = count // x.shape[axis], stride * x.shape[axis]
    return count


def sums_of_blocks(x, axis):
    """(..., n, ...) -> (..., n / BLOCK, rounded up, ...): the sum of each BLOCK elements along the axis."""
    n, before = x.shape[axis], (slice(None),) * axis
    block = min(n, BLOCK)
    whole = n // block * block
    blocks = x[(*before, slice(whole))].reshape(*x.shape[:axis], whole // block, block, *x.shape[axis + 1 :])
    sums = blocks.sum(axis + 1)
    if whole == n:
        return sums
    rest = x[(*before, slice(whole, n))].sum(axis, keepdims=True)
    return array_module(x).concatenate([sums, rest], axis)
