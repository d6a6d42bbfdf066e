"""Losses as modules: each passes scores and targets to the function in tinynet/ops/."""

import tinynet.functional as F
from tinynet.nn.module import Module
from tinynet.ops.dims import fraction, integer
from tinynet.ops.reduction import check_reduction
from tinynet.ops.targets import array_in


def check_loss(layer, weight, ignore_index, reduction):
    if weight is not None:
        array_in(layer, "weight", weight)
    integer(layer, "ignore_index", ignore_index)
    check_reduction(layer, reduction)


class CrossEntropyLoss(Module):
    """How badly softmax(input) predicts target, in nats: the loss of classifiers (docs/softmax_cross_entropy.md).

    Input: scores (logits), not probabilities: (N, C), (N, C, d1, ...) or (C,). Target: class numbers from 0 to
    C - 1, of input's shape without C; or, floating, one probability per class, of input's shape. Output: one
    number, (); with reduction="none", one loss per target.

    weight: one factor per class, (C,); None for 1.
    ignore_index: targets of this class number do not count.
    reduction: "mean" divides the sum by the weights of the targets that count; "sum"; "none".
    label_smoothing: s, from 0 to 1. Targets become (1 - s) * target + s / C (Szegedy et al., 2016, section 7).

    forward raises ValueError if a shape does not fit or a class is out of range, TypeError if a dtype does not fit.
    """

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        check_loss("CrossEntropyLoss", weight, ignore_index, reduction)
        fraction("CrossEntropyLoss", "label_smoothing", label_smoothing)
        self.weight, self.ignore_index = weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, input, target):  # (N, C, ...), (N, ...) -> (), or (N, ...) with reduction="none"
        return F.cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(Module):
    """Negative log-likelihood: -input at the class that target names. LogSoftmax and NLLLoss are CrossEntropyLoss.

    Input: log-probabilities (N, C), (N, C, d1, ...) or (C,). Target: class numbers from 0 to C - 1, of input's shape
    without C. Output: one number, (); with reduction="none", one loss per target.

    weight: one factor per class, (C,); None for 1.
    ignore_index: targets of this class number do not count.
    reduction: "mean" divides the sum by the weights of the targets that count; "sum"; "none".

    forward raises ValueError if a shape does not fit or a class is out of range, TypeError if a dtype does not fit.
    """

    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        check_loss("NLLLoss", weight, ignore_index, reduction)
        self.weight, self.ignore_index, self.reduction = weight, ignore_index, reduction

    def forward(self, input, target):  # (N, C, ...), (N, ...) -> (), or (N, ...) with reduction="none"
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class MSELoss(Module):
    """Mean squared error: the mean of (input - target)^2.

    Input and target: any one shape, the same for both. Output: one number, (); with reduction="none", that shape.

    reduction: "mean" over all elements, "sum", or "none".

    forward raises ValueError if the shapes differ, where PyTorch would broadcast; TypeError if the dtypes differ.
    """

    def __init__(self, reduction="mean"):
        check_reduction("MSELoss", reduction)
        self.reduction = reduction

    def forward(self, input, target):  # two of one shape -> (), or that shape with reduction="none"
        return F.mse_loss(input, target, self.reduction)
