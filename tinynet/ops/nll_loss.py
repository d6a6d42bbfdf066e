"""Negative log-likelihood: how unlikely the model considered the true class.

x holds log-probabilities, (N, C, ...), and t the number of the true class at each position.

Forward.   l_n = -w[t_n] * x[n, t_n]

w holds the classes' weights (1 if there are none). A target equal to ignore_index has weight 0,
whatever its x. The mean is weighted: sum_n l_n / sum_n w[t_n].

Backward.  l_n depends on a single x:   dx[n,c] = -w[t_n] * dl_n * [c = t_n]

Saved: the targets' indices in x and their weights; not x.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.ops.dims import integer
from tinynet.ops.reduction import check_reduction, reduce, reduce_backward
from tinynet.ops.targets import check_classes, check_input, check_weight, locate


class NllLoss(Function):
    arguments = ("input",)

    def __init__(self, target, weight, ignore_index, reduction):
        self.target, self.weight, self.ignore_index = target, weight, ignore_index
        self.reduction = reduction

    def forward(self, x):  # x: (N, C, d1, ...)
        self.x_shape = x.shape
        self.positions = positions = locate(x, self.target, self.weight, self.ignore_index)
        losses = -positions.weights * positions.pick(x.reshape(positions.shape))  # (N, D)
        return reduce(losses.reshape(self.target.shape), self.reduction, positions.weights.sum())

    def backward(self, dy):  # dy: target's shape, or ()
        positions = self.positions
        dl = reduce_backward(dy, self.reduction, positions.weights.sum())
        dx = array_module(dy).zeros(positions.shape, dy.dtype)
        dx[positions.at] = -positions.weights * positions.flat(dl)
        return dx.reshape(self.x_shape)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """-input at the class that target names: the mean, the sum, or every loss (reduction="none").

    input: log-probabilities (N, C), (N, C, d1, ...) or (C,); see log_softmax. target: class numbers,
    with input's shape less C. weight: one per class, (C,), or None. Targets equal to ignore_index do not
    count; if there are no others, the mean is nan. Raises ValueError if a shape does not match or a class
    is out of range, TypeError if a dtype does not match.
    """
    check_input("nll_loss", input)
    check_reduction("nll_loss", reduction)
    integer("nll_loss", "ignore_index", ignore_index)
    target = check_classes("nll_loss", input, target, ignore_index)
    weight = check_weight("nll_loss", input, weight)
    return NllLoss(target, weight, ignore_index, reduction)(input)
