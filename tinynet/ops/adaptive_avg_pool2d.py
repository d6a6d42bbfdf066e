"""Average-pooling to a given size, whatever the size of the image (Lin et al., 2013, for 1 x 1).

Forward. P x Q windows cover the image of H x W. Window p holds the rows

    floor(p * H / P)  up to, not including,  ceil((p + 1) * H / P)

and window q its columns likewise: neighbors meet, or share a line where P does not divide H.
y[n,c,p,q] is the mean over rows and columns. A mean over a rectangle is the mean of its rows'
means, so we take one axis after the other: P + Q slices to average instead of P * Q.

Backward. Along one axis y_p = mean of x_h over window p, so each x_h of it gets dy_p / length,
and the sum of that where windows share a line. Two axes: undo them one after the other too.

The mean is linear: nothing is saved but the shape.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.windows import check_image, pair


class AdaptiveAvgPool2d(Function):
    arguments = ("input",)

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, x):  # x: (N, C, H, W)
        self.image = x.shape[2:]
        P, Q = self.output_size
        return average(average(x, P, axis=2), Q, axis=3)  # (N, C, P, Q)

    def backward(self, dy):  # dy: (N, C, P, Q)
        H, W = self.image
        return spread(spread(dy, W, axis=3), H, axis=2)  # (N, C, H, W)


def windows(size, count, axis):
    """For each of `count` windows over an axis of `size`: where its mean goes, what it covers."""
    lead = (slice(None),) * axis
    for i in range(count):
        yield (*lead, i), (*lead, slice(i * size // count, -(-(i + 1) * size // count)))


def average(x, count, axis):
    """The means of `count` windows along one axis of x."""
    if x.shape[axis] == count:
        return x  # every window is one cell
    y = array_module(x).empty((*x.shape[:axis], count, *x.shape[axis + 1 :]), x.dtype)
    for place, cells in windows(x.shape[axis], count, axis):
        y[place] = x[cells].mean(axis)
    return y


def spread(dy, size, axis):
    """The transpose of `average`: each dy, divided evenly among the cells of its window."""
    count = dy.shape[axis]
    if size == count:
        return dy
    dx = array_module(dy).zeros((*dy.shape[:axis], size, *dy.shape[axis + 1 :]), dy.dtype)
    for place, cells in windows(size, count, axis):
        length = cells[axis].stop - cells[axis].start
        dx[cells] += (dy[place] / length)[(slice(None),) * axis + (None,)]
    return dx


def adaptive_avg_pool2d(input, output_size):
    """The means of P x Q windows that cover the image.

    input: (N, C, H, W), H and W at least 1. output_size: an int, or (P, Q); None in place of P or Q
    keeps the size that the image has. Returns (N, C, P, Q). Raises ValueError where input or
    output_size is not so.
    """
    check_image("adaptive_avg_pool2d", input)
    if 0 in input.shape[2:]:
        raise ValueError(f"adaptive_avg_pool2d: input {input.shape} has images without pixels")
    if isinstance(output_size, tuple | list) and len(output_size) == 2:
        P, Q = output_size
        output_size = input.shape[2] if P is None else P, input.shape[3] if Q is None else Q
    return AdaptiveAvgPool2d(pair("adaptive_avg_pool2d", "output_size", output_size, 1))(input)
