"""How a loss for each place becomes what the caller asked for: as it is, its sum, or its mean.

Forward.   none: y_i = l_i        sum: y = sum_i l_i        mean: y = sum_i l_i / count

Backward.  Every l_i reaches y with the same factor, so its cotangent is dy itself, and dy / count
for the mean. A loss need only multiply its own slope by that.
"""

import numpy as np

REDUCTIONS = "none", "sum", "mean"


def check_reduction(op, reduction):
    if reduction not in REDUCTIONS:
        raise ValueError(f"{op}: reduction must be one of {REDUCTIONS}, got {reduction!r}")


def reduce(losses, reduction, count):
    """losses: an array. count: what a mean divides by; the mean of nothing, 0 / 0, is nan."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return losses.sum() / count


def share(dy, reduction, count):
    """The cotangent of each loss, given dy of the reduced one.

    It is what a loss's weight is multiplied by: with nothing to count all weights are 0, and the
    product must be 0 and not nan.
    """
    return dy / (count + (count == 0)) if reduction == "mean" else dy
