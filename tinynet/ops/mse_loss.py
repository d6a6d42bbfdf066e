"""Mean squared error.

Forward.   l_i = (x_i - t_i)^2,   and y is every l_i, their sum, or their mean over n elements

Backward.  dl_i/dx_i = 2 * (x_i - t_i), and t_i has the opposite sign:

    dx_i = 2 * (x_i - t_i) * dy / n,      dt_i = -dx_i          (no n for "none" and "sum")

Saved: x and t, which exist anyway. Their difference would be one more array of that size; we subtract
again instead.
"""

from tinynet.autograd import Function
from tinynet.ops.dims import require_floating
from tinynet.ops.reduction import check_reduction, reduce, reduce_backward


class MseLoss(Function):
    arguments = ("input", "target")

    def __init__(self, reduction):
        self.reduction = reduction

    def forward(self, x, t):  # x, t: the same shape
        require_floating("mse_loss", "input", x)
        require_floating("mse_loss", "target", t)
        if t.shape != x.shape:
            raise ValueError(f"mse_loss: target must have input's shape {x.shape}, got {t.shape}")
        self.save(x, t)
        losses = x - t
        losses *= losses
        return reduce(losses, self.reduction, x.size)

    def backward(self, dy):  # dy: x's shape, or ()
        x, t = self.saved
        dx = x - t
        dx *= 2 * reduce_backward(dy, self.reduction, x.size)
        return dx, -dx if self.needs_input_grad[1] else None


def mse_loss(input, target, reduction="mean"):
    """The squares of input - target: their mean, their sum, or every one (reduction="none").

    input, target: the same shape. (PyTorch would broadcast, with a warning; in a loss that hides
    mistakes.) Raises ValueError if the shapes differ or the reduction is unknown, TypeError if they are
    not floating tensors of one dtype.
    """
    check_reduction("mse_loss", reduction)
    return MseLoss(reduction)(input, target)
