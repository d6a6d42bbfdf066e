"""Negative log-likelihood: how unlikely the model thought the right class.

x holds log-probabilities, (N, C, ...), and t the number of the right class at each place.

Forward.   l_n = -w[t_n] * x[n, t_n]

w weighs the classes (1 without weights). A target equal to ignore_index weighs 0, whatever its x.
The mean is a weighted one: sum_n l_n / sum_n w[t_n].

Backward.  l_n holds one x only:   dx[n,c] = -w[t_n] * dl_n * [c = t_n]

Saved: where the picked x lie and what they weigh; not x.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.ops.reduction import check_reduction, reduce, share
from tinynet.ops.targets import check_classes, check_input, check_weight, locate


class NllLoss(Function):
    arguments = ("input",)

    def __init__(self, target, weight, ignore_index, reduction):
        self.target, self.weight, self.ignore_index = target, weight, ignore_index
        self.reduction = reduction

    def forward(self, x):  # x: (N, C, d1, ...)
        self.x_shape = x.shape
        self.places = places = locate(x, self.target, self.weight, self.ignore_index)
        losses = -places.weights * places.pick(x.reshape(places.shape))  # (N, D)
        return reduce(losses.reshape(self.target.shape), self.reduction, places.weights.sum())

    def backward(self, dy):  # dy: target's shape, or ()
        places = self.places
        dl = share(dy, self.reduction, places.weights.sum())
        dx = array_module(dy).zeros(places.shape, dy.dtype)
        dx[places.at] = -places.weights * places.flat(dl)
        return dx.reshape(self.x_shape)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """-input at the class that target names: the mean, the sum, or all (reduction="none").

    input: log-probabilities (N, C), (N, C, d1, ...) or (C,); see log_softmax. target: integers,
    input's shape without C. weight: (C,) or None. Targets equal to ignore_index do not count; if
    there are no others the mean is nan. Raises ValueError or TypeError where these do not fit.
    """
    check_input("nll_loss", input)
    check_reduction("nll_loss", reduction)
    target = check_classes("nll_loss", input, target, ignore_index)
    weight = check_weight("nll_loss", input, weight)
    return NllLoss(target, weight, ignore_index, reduction)(input)
