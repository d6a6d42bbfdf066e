"""Maximum over some or all axes.

Forward.   y = max_i x_i

Backward.  Moving the largest x_i moves y by the same amount; moving any other does nothing:

    dx_i = dy if x_i = y, else 0

If k elements tie for the maximum, the slope is undefined: raising one of them raises y, lowering it
does not. Any split of dy among them would do; like PyTorch we divide it evenly, dy / k each, which does
not depend on their order.

Saved: x and y. Comparing them again finds the maxima, without saving an array of indices.
"""

from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import flag, normalize_axes
from tinynet.ops.mean import count


class Max(Function):
    arguments = ("input",)

    def __init__(self, dim, keepdim):
        self.dim, self.keepdim = dim, flag(self.name, "keepdim", keepdim)

    def forward(self, x):
        self.axes = normalize_axes(self.name, self.dim, x.ndim)
        if count(x.shape, self.axes) == 0:
            raise ValueError(
                f"{self.name}: input of shape {x.shape} has no elements along dim={self.dim}"
            )
        y = self.extreme(x)
        self.save(x, y)
        return y if self.keepdim else y.squeeze(self.axes)

    def backward(self, dy):
        x, y = self.saved
        largest = x == y
        ties = largest.sum(axis=self.axes, keepdims=True).astype(dy.dtype)  # exact, beyond 2^24 too
        return largest * (dy.reshape(y.shape) / ties)

    def extreme(self, x):
        return x.max(axis=self.axes, keepdims=True)


def max(input, dim=None, keepdim=False):
    """The largest element over the axes `dim` (an int or several; None: all), like torch.amax.

    keepdim keeps these axes, with length 1. Returns values only, no indices. Raises ValueError if
    input lacks an axis or there are no elements along it.
    """
    return Max(dim, keepdim)(input)


Tensor.max = max
