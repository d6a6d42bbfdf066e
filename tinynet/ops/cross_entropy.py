"""Cross-entropy of softmax: the loss of every classifier, and backpropagation's best bargain.

Forward.  Scores x_c become probabilities p_c, and the loss is -log of the right class t's:

    p_c = e^(x_c) / sum_j e^(x_j)

    L = -log p_t = lse - x_t,      where   lse = log sum_j e^(x_j)

Backward.  Only lse needs thought. By the chain rule, log first, then the sum:

    dlse/dx_c = 1 / (sum_j e^(x_j)) * e^(x_c) = p_c          (softmax is the slope of log-sum-exp!)

    dL/dx_c = p_c - [c = t]

"What the model said, minus what is true." It lies between -1 and 1, and a model that is sure and
wrong gets all of it. Done in two steps, softmax and then a logarithm, p_t could round to 0, log 0
is -inf, and backward would divide by p_t; in one step p_t cancels before anyone divides.

A target may also be a distribution q over the classes: q_c = [c = t] for one class; label smoothing s
makes that (1 - s) * [c = t] + s / C; class weights multiply q_c by w_c. The loss is then

    L = -sum_c q_c * log p_c = sum_c q_c * (lse - x_c)

    dL/dx_c = p_c * (sum_j q_j) - q_c,           dL/dq_c = -log p_c

which is the same subtraction: q_c = [c = t] sums to 1 and gives back p_c - [c = t].

Saved: x, which exists anyway; p is recomputed from it. Of class targets also their places and weights,
of a target that is a distribution that array, which exists anyway too.
"""

from tinynet import kernels
from tinynet.autograd import FLOATS, Function, Tensor
from tinynet.backend import array_module, on_gpu
from tinynet.ops.log_softmax import log_probabilities
from tinynet.ops.reduction import check_reduction, reduce, share
from tinynet.ops.softmax import probabilities
from tinynet.ops.targets import check_classes, check_input, check_weight, flat_shape, locate


class CrossEntropy(Function):
    """The target is one class for each place. It has no derivative, so it is not an input."""

    arguments = ("input",)

    def __init__(self, target, weight, ignore_index, reduction, label_smoothing):
        self.target, self.weight, self.ignore_index = target, weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, x):  # x: (N, C, d1, ...)
        self.save(x)
        self.places = places = locate(x, self.target, self.weight, self.ignore_index)
        losses = self.losses(x.reshape(places.shape))  # (N, C, D) -> (N, D)
        return reduce(losses.reshape(self.target.shape), self.reduction, places.weights.sum())

    def backward(self, dy):  # dy: target's shape, or ()
        (x,) = self.saved
        places = self.places
        dl = places.flat(share(dy, self.reduction, places.weights.sum()))
        return self.slopes(x.reshape(places.shape), dl).reshape(x.shape)

    def losses(self, x):  # x: (N, C, D) -> (N, D)
        if on_gpu(x):
            return kernels.softmax_cross_entropy(x, *self.target_and_how())
        log_p = log_probabilities(x, axis=1)  # (N, C, D)
        right, all_classes = self.target_distribution(x.dtype)
        losses = -right * self.places.pick(log_p)  # (N, D)
        if all_classes is not None:
            losses -= (all_classes * log_p).sum(1)
        return losses

    def slopes(self, x, dl):  # x: (N, C, D), dl: (N, D) or () -> dx
        if on_gpu(x):
            return kernels.softmax_cross_entropy_backward(dl, x, *self.target_and_how())
        right, all_classes = self.target_distribution(x.dtype)
        dx = probabilities(x, axis=1)  # (N, C, D)
        total = right if all_classes is None else right + all_classes.sum(1)
        dx *= (total * dl)[:, None]  # p * sum of q ...
        dx[self.places.at] -= right * dl  # ... - q
        if all_classes is not None:
            dx -= all_classes * (dl[:, None] if dl.ndim else dl)
        return dx

    def target_and_how(self):  # what the kernels take
        N, _, D = self.places.shape
        return self.target.reshape(N, D), self.weight, self.ignore_index, self.label_smoothing

    def target_distribution(self, dtype):
        """q in two parts: at the right class (N, D), and at every class (N, C, D), if smoothed."""
        s, places = self.label_smoothing, self.places
        right = (1 - s) * places.weights
        if s == 0:
            return right, None
        C = places.shape[1]
        w = array_module(right).ones(C, dtype) if self.weight is None else self.weight
        return right, s / C * w[:, None] * places.kept[:, None]


class CrossEntropyWithProbabilities(Function):
    """The target is a probability for each class, and can itself be the output of a model."""

    name = "cross_entropy"
    arguments = ("input", "target")

    def __init__(self, weight, reduction, label_smoothing):
        self.weight, self.reduction, self.label_smoothing = weight, reduction, label_smoothing

    def forward(self, x, target):  # x, target: (N, C, d1, ...)
        self.save(x, target)
        N, _, D = self.shape = flat_shape(x.shape)
        self.count = N * D
        log_p = log_probabilities(x.reshape(self.shape), axis=1)  # (N, C, D)
        losses = -(self.target_distribution(target) * log_p).sum(1)  # (N, D)
        places = () if x.ndim == 1 else (N, *x.shape[2:])
        return reduce(losses.reshape(places), self.reduction, self.count)

    def backward(self, dy):  # dy: x's shape without C, or ()
        x, target = self.saved
        N, _, D = self.shape
        dl = share(dy, self.reduction, self.count)
        dl = dl.reshape(N, 1, D) if dl.ndim else dl
        dx = dtarget = None
        if self.needs_input_grad[0]:
            q = self.target_distribution(target)
            dx = probabilities(x.reshape(self.shape), axis=1)  # (N, C, D)
            dx *= q.sum(1, keepdims=True)
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
    """How badly softmax(input) predicts target: the mean, the sum, or all (reduction="none").

    input: scores (N, C), (N, C, d1, ...) or (C,), not probabilities. target: integers, input's
    shape without C; or floating, of input's shape, a probability for each class, which then gets a
    gradient too. weight: (C,) or None. label_smoothing s: the target is mixed with s parts of an
    even distribution. Targets equal to ignore_index do not count (classes only). The mean over
    classes divides by the weights of the targets that count, and is nan if there are none; the
    mean over probabilities divides by the number of places. Raises ValueError or TypeError where
    these do not fit.
    """
    check_input("cross_entropy", input)
    check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be 0 to 1, got {label_smoothing}")
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
    target = target if isinstance(target, Tensor) else Tensor(target)
    return CrossEntropyWithProbabilities(weight, reduction, label_smoothing)(input, target)
