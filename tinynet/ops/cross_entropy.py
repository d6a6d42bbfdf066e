"""Cross-entropy of softmax: the loss of nearly every classifier, and backpropagation's best bargain.

Forward.  Scores x_c become probabilities p_c, and the loss is -log of the one for the true class t:

    p_c = e^(x_c) / sum_j e^(x_j)

    L = -log p_t = lse - x_t,      where   lse = log sum_j e^(x_j)

Backward.  Only lse needs thought. By the chain rule, log first, then the sum:

    dlse/dx_c = 1 / (sum_j e^(x_j)) * e^(x_c) = p_c          (softmax is the slope of log-sum-exp!)

    dL/dx_c = p_c - [c = t]

"What the model said, minus what is true." It lies between -1 and 1, and is largest for a model that is
confident and wrong. In two steps, softmax and then a logarithm, p_t could round to 0: the loss would be
-log 0 = inf, and backward would divide by p_t. In one step p_t cancels before anyone divides.

A target may also be a distribution q over the classes. A single class is q_c = [c = t]; label smoothing
s makes that (1 - s) * [c = t] + s / C; class weights multiply q_c by w_c. The loss is then

    L = -sum_c q_c * log p_c = sum_c q_c * (lse - x_c)

    dL/dx_c = p_c * (sum_j q_j) - q_c,           dL/dq_c = -log p_c

which is the same subtraction: q_c = [c = t] sums to 1 and gives p_c - [c = t] again.

Saved: x and the target, which exist anyway (of class targets also their indices and weights). p is
recomputed from x.
"""

import numpy as np

from tinynet import kernels
from tinynet.autograd import FLOATS, Function, Tensor, plain_array
from tinynet.backend import array_module, on_gpu
from tinynet.ops.dims import fraction, integer
from tinynet.ops.log_softmax import log_probabilities
from tinynet.ops.pairwise_sum import pairwise_sum
from tinynet.ops.reduction import check_reduction, reduce, reduce_backward
from tinynet.ops.softmax import probabilities
from tinynet.ops.targets import check_classes, check_input, check_weight, flat_shape, locate


class CrossEntropy(Function):
    """The target is one class per position. It has no derivative, so it is not an input."""

    arguments = ("input",)

    def __init__(self, target, weight, ignore_index, reduction, label_smoothing):
        self.target, self.weight, self.ignore_index = target, weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, x):  # x: (N, C, d1, ...)
        self.save(x)
        self.positions = positions = locate(x, self.target, self.weight, self.ignore_index)
        losses = self.losses(x.reshape(positions.shape))  # (N, C, D) -> (N, D)
        return reduce(losses.reshape(self.target.shape), self.reduction, positions.weights.sum())

    def backward(self, dy):  # dy: target's shape, or ()
        (x,) = self.saved
        positions = self.positions
        dl = positions.flat(reduce_backward(dy, self.reduction, positions.weights.sum()))
        return self.slopes(x.reshape(positions.shape), dl).reshape(x.shape)

    def losses(self, x):  # x: (N, C, D) -> (N, D)
        if on_gpu(x):
            return kernels.softmax_cross_entropy(x, *self.kernel_arguments())
        log_p = log_probabilities(self.without_ignored(x), axis=1)  # (N, C, D)
        q_true, q_smooth = self.target_distribution(x.dtype)
        losses = -q_true * self.positions.pick(log_p)  # (N, D)
        if q_smooth is not None:
            losses -= pairwise_sum(q_smooth * log_p, (1,))
        return losses

    def slopes(self, x, dl):  # x: (N, C, D), dl: (N, D) or () -> dx
        if on_gpu(x):
            return kernels.softmax_cross_entropy_backward(dl, x, *self.kernel_arguments())
        q_true, q_smooth = self.target_distribution(x.dtype)
        dx = probabilities(self.without_ignored(x), axis=1)  # (N, C, D)
        total = q_true if q_smooth is None else q_true + pairwise_sum(q_smooth, (1,))
        dx *= (total * dl)[:, None]  # p * sum of q ...
        dx[self.positions.at] -= q_true * dl  # ... - q
        if q_smooth is not None:
            dx -= q_smooth * (dl[:, None] if dl.ndim else dl)
        return dx

    def without_ignored(self, x):
        """x with 0 for the scores of ignored positions: theirs may be infinite or NaN, and inf * 0 is NaN."""
        kept = self.positions.kept
        return x if kept.all() else np.where(kept[:, None], x, 0)

    def kernel_arguments(self):
        N, _, D = self.positions.shape
        return self.target.reshape(N, D), self.weight, self.ignore_index, self.label_smoothing

    def target_distribution(self, dtype):
        """q as two terms: the true class's (N, D), and the smoothing's (N, C, D), None if s = 0."""
        s, positions = self.label_smoothing, self.positions
        q_true = (1 - s) * positions.weights
        if s == 0:
            return q_true, None
        C = positions.shape[1]
        w = array_module(q_true).ones(C, dtype) if self.weight is None else self.weight
        return q_true, s / C * w[:, None] * positions.kept[:, None]


class CrossEntropyWithProbabilities(Function):
    """The target is one probability per class, and may itself be the output of a model."""

    name = "cross_entropy"
    arguments = ("input", "target")

    def __init__(self, weight, reduction, label_smoothing):
        self.weight, self.reduction, self.label_smoothing = weight, reduction, label_smoothing

    def forward(self, x, target):  # x, target: (N, C, d1, ...)
        self.save(x, target)
        N, _, D = self.shape = flat_shape(x.shape)
        self.count = N * D
        log_p = log_probabilities(x.reshape(self.shape), axis=1)  # (N, C, D)
        losses = -pairwise_sum(self.target_distribution(target) * log_p, (1,))  # (N, D)
        positions = () if x.ndim == 1 else (N, *x.shape[2:])
        return reduce(losses.reshape(positions), self.reduction, self.count)

    def backward(self, dy):  # dy: x's shape without C, or ()
        x, target = self.saved
        N, _, D = self.shape
        dl = reduce_backward(dy, self.reduction, self.count)
        dl = dl.reshape(N, 1, D) if dl.ndim else dl
        dx = dtarget = None
        if self.needs_input_grad[0]:
            q = self.target_distribution(target)
            dx = probabilities(x.reshape(self.shape), axis=1)  # (N, C, D)
            dx *= pairwise_sum(q, (1,), keepdims=True)
            dx -= q
            dx *= dl
            dx = dx.reshape(x.shape)
        if self.needs_input_grad[1]:
            dtarget = -log_probabilities(x.reshape(self.shape), axis=1)
            dtarget *= (1 - self.label_smoothing) * self.class_weights()
            dtarget *= dl
            dtarget = dtarget.reshape(x.shape)
        return dx, dtarget

    def target_distribution(self, target):
        """q: (N, C, D)."""
        s, C = self.label_smoothing, self.shape[1]
        return ((1 - s) * target.reshape(self.shape) + s / max(C, 1)) * self.class_weights()

    def class_weights(self):
        return 1 if self.weight is None else self.weight[:, None]  # (C, 1)


def cross_entropy(
    input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    """How badly softmax(input) predicts target: the mean, the sum, or every loss (reduction="none").

    input: scores (logits), not probabilities: (N, C), (N, C, d1, ...) or (C,). target: class numbers,
    with input's shape less C; or floating, one probability per class, with input's shape, and then it
    gets a gradient too. weight: one per class, (C,), or None. label_smoothing s: the target becomes
    (1 - s) * target + s * uniform distribution. Class targets equal to ignore_index do not count. The mean over
    class targets divides by the weights of those that count, and is nan if none do; the mean over
    probabilities divides by the number of positions. Raises ValueError if a shape does not match or
    a class is out of range, TypeError if a dtype does not match.
    """
    check_input("cross_entropy", input)
    check_reduction("cross_entropy", reduction)
    fraction("cross_entropy", "label_smoothing", label_smoothing)
    integer("cross_entropy", "ignore_index", ignore_index)
    weight = check_weight("cross_entropy", input, weight)
    if not hasattr(target, "dtype") or target.dtype not in FLOATS:
        target = check_classes("cross_entropy", input, target, ignore_index)
        return CrossEntropy(target, weight, ignore_index, reduction, label_smoothing)(input)
    if target.shape != input.shape:
        raise ValueError(
            f"cross_entropy: target holds probabilities and must have input's shape "
            f"{input.shape}, got {target.shape}; classes would be integers"
        )
    if ignore_index >= 0:
        raise ValueError(
            f"cross_entropy: ignore_index={ignore_index} means nothing for probabilities in target"
        )
    target = target if isinstance(target, Tensor) else Tensor(plain_array("cross_entropy: target", target))
    return CrossEntropyWithProbabilities(weight, reduction, label_smoothing)(input, target)
