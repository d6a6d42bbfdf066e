"""Reduction of the losses l_i to what the caller asked for: each loss, their sum, or their mean.

Forward.   none: y_i = l_i        sum: y = sum_i l_i        mean: y = sum_i l_i / count

Backward.  Every l_i enters y with the same factor, so its cotangent is dy, or dy / count for the mean:

    none: dl_i = dy_i             sum: dl_i = dy            mean: dl_i = dy / count

A loss then only multiplies its own slope by dl.
"""

import numpy as np

from tinynet.ops.dims import shown

REDUCTIONS = "none", "sum", "mean"


def check_reduction(op, reduction):
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(f"{op}: reduction must be one of {REDUCTIONS}, got {shown(reduction)}")


def reduce(losses, reduction, count):
    """y from the array of losses. count: what a mean divides by; the mean of no losses, 0 / 0, is nan."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return losses.sum() / count


def reduce_backward(dy, reduction, count):
    """dl, the cotangent of each loss; for sum and mean one number, the same for every loss.

    If count is 0 then so are all the weights that dl is multiplied by, and the products must be 0, not
    nan. So we divide by 1.
    """
    return dy / (count + (count == 0)) if reduction == "mean" else dy
