"""Average-pooling to a given output size, whatever the size of the image (Lin et al., 2013, for 1 x 1).

Forward. P x Q windows cover the H x W image. Window p spans the rows

    floor(p * H / P)  up to, but not including,  ceil((p + 1) * H / P)

and window q likewise spans columns. Windows p and p + 1 share a row if (p + 1) * H / P is not an
integer. y[n,c,p,q] is the mean of its window. The mean of a rectangle is the mean of its rows' means,
so we average along one axis and then along the other: P + Q slices instead of P * Q.

Backward. Along one axis, y_p is the mean of the x_h in window p, so each of them gets dy_p / length,
and an x_h in two windows gets the sum. The two axes are undone one after the other as well.

The mean is linear: only the shape is saved.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.ops.dims import check_image, pair
from tinynet.ops.pairwise_sum import pairwise_sum


class AdaptiveAvgPool2d(Function):
    arguments = ("input",)

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, x):  # x: (N, C, H, W)
        self.image = x.shape[2:]
        P, Q = self.output_size
        y = average(average(x, P, axis=2), Q, axis=3)  # (N, C, P, Q)
        return x.copy() if y is x else y  # if every window is a single pixel

    def backward(self, dy):  # dy: (N, C, P, Q)
        H, W = self.image
        dx = average_backward(average_backward(dy, W, axis=3), H, axis=2)  # (N, C, H, W)
        return dy.copy() if dx is dy else dx


def windows(size, count, axis):
    """For each of `count` windows along an axis of length `size`: the index of its mean, and of what it covers."""
    lead = (slice(None),) * axis
    for i in range(count):
        yield (*lead, i), (*lead, slice(i * size // count, -(-(i + 1) * size // count)))


def average(x, count, axis):
    """The means of `count` windows along one axis of x."""
    if x.shape[axis] == count:
        return x  # every window is a single pixel
    y = array_module(x).empty((*x.shape[:axis], count, *x.shape[axis + 1 :]), x.dtype)
    for here, window in windows(x.shape[axis], count, axis):
        y[here] = pairwise_sum(x[window], (axis,)) / (window[axis].stop - window[axis].start)
    return y


def average_backward(dy, size, axis):
    """The transpose of `average`: each dy is divided evenly among the pixels of its window."""
    count = dy.shape[axis]
    if size == count:
        return dy
    dx = array_module(dy).zeros((*dy.shape[:axis], size, *dy.shape[axis + 1 :]), dy.dtype)
    for here, window in windows(size, count, axis):
        length = window[axis].stop - window[axis].start
        dx[window] += (dy[here] / length)[(slice(None),) * axis + (None,)]
    return dx


def adaptive_avg_pool2d(input, output_size):
    """The means of P x Q windows that cover the image.

    input: (N, C, H, W). output_size: an int, or (P, Q); None for P or Q keeps the image's size.
    Returns (N, C, P, Q). Raises ValueError if H or W is 0 or output_size is not a positive integer or
    two, TypeError if input is not floating.
    """
    check_image("adaptive_avg_pool2d", input)
    if 0 in input.shape[2:]:
        raise ValueError(f"adaptive_avg_pool2d: input {input.shape} has images without pixels")
    return AdaptiveAvgPool2d(fill_in("adaptive_avg_pool2d", output_size, input.shape[2:]))(input)


def fill_in(op, output_size, image):
    """(P, Q), with the sides of the image in place of None."""
    if isinstance(output_size, tuple | list) and len(output_size) == 2:
        output_size = [side if size is None else size for size, side in zip(output_size, image, strict=True)]
    return pair(op, "output_size", output_size, 1)
