"""Average-pooling: the mean of each window (LeCun et al., 1998, "subsampling").

Forward. Window (p, q) adds up its pixels and divides by their number:

    y[n,c,p,q] = 1 / count[p,q] * sum over (r, s) of
                 x[n, c, p * stride + r - padding, q * stride + s - padding]

The padding is 0, and its pixels count only with count_include_pad. Where ceil_mode lets a window
extend beyond the padding, the pixels beyond never count. count[p,q] is a number of rows times a
number of columns.

Backward. Each pixel entered its window's mean with the factor 1 / count, so it gets that fraction of
the window's dy, summed over the windows that contain it:

    dx[n,c,h,w] = sum of dy[n,c,p,q] / count[p,q] over the windows (p, q) that contain (h, w)

The mean is linear, so its slope does not depend on x: only the shape is saved.
"""

import numpy as np

from tinynet import kernels
from tinynet.autograd import Function
from tinynet.backend import on_gpu, parallel_for
from tinynet.ops.dims import check_image, flag, pair
from tinynet.windows import Windows, pad_image


class AvgPool2d(Function):
    arguments = ("input",)

    def __init__(self, windows, count_include_pad):
        self.windows, self.count_include_pad = windows, count_include_pad

    def forward(self, x):  # x: (N, C, H, W)
        self.x_shape = x.shape
        if on_gpu(x):
            return kernels.avg_pool2d(x, self.windows, self.count_include_pad)
        P, Q = self.windows.places(x.shape[2:])
        count = window_counts(x, self.windows, self.count_include_pad)  # (P, Q)
        y = np.zeros((*x.shape[:2], P, Q), x.dtype)

        def images(start, stop):
            for n in range(start, stop):
                padded = pad_image(x[n], self.windows.border(x.shape[2:]))
                for _, seen in self.windows.cells(P, Q):  # pixel (r, s) of all windows at once
                    y[n] += padded[seen]
                y[n] /= count

        parallel_for(len(x), images, x)
        return y

    def backward(self, dy):  # dy: (N, C, P, Q)
        if on_gpu(dy):
            return kernels.avg_pool2d_backward(dy, self.x_shape, self.windows, self.count_include_pad)
        C, H, W = self.x_shape[1:]
        top, bottom, left, right = self.windows.border((H, W))
        dx = np.empty(self.x_shape, dy.dtype)
        count = window_counts(dx, self.windows, self.count_include_pad)  # (P, Q)

        def images(start, stop):
            for n in range(start, stop):
                padded = np.zeros((C, top + H + bottom, left + W + right), dy.dtype)
                dy_per_pixel = dy[n] / count
                for _, seen in self.windows.cells(*dy.shape[2:]):
                    padded[seen] += dy_per_pixel
                dx[n] = padded[:, top : top + H, left : left + W]

        parallel_for(len(dy), images, dx)
        return dx


def window_counts(x, windows, count_include_pad):
    """count[p,q], the number of pixels that window (p, q) divides by: (P, Q), in x's dtype."""
    sides = []
    for axis, places in enumerate(windows.places(x.shape[2:])):
        size, padding = x.shape[2 + axis], windows.padding[axis]
        first = np.arange(places) * windows.stride[axis] - padding
        end = np.minimum(first + windows.kernel[axis], size + padding)
        if not count_include_pad:
            first, end = np.maximum(first, 0), np.minimum(end, size)
        sides.append(end - first)
    return np.outer(*sides).astype(x.dtype)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    """The mean of each window.

    input: (N, C, H, W). kernel_size, stride (default: kernel_size), padding: an int, or
    (height, width). ceil_mode: keep windows that extend beyond the far edge. count_include_pad:
    the padding's zeros count toward the mean. Returns (N, C, P, Q). Raises ValueError if no window
    fits or padding is more than half the window.
    """
    check_image("avg_pool2d", input)
    kernel = pair("avg_pool2d", "kernel_size", kernel_size, 1)
    stride = kernel if stride is None else pair("avg_pool2d", "stride", stride, 1)
    padding = pair("avg_pool2d", "padding", padding, 0)
    if any(2 * pad > size for size, pad in zip(kernel, padding, strict=True)):
        raise ValueError(
            f"avg_pool2d: padding {padding} is more than half of a window of {kernel}; some "
            "windows would see only padding"
        )
    count_include_pad = flag("avg_pool2d", "count_include_pad", count_include_pad)
    windows = Windows(kernel, stride, padding, (1, 1), flag("avg_pool2d", "ceil_mode", ceil_mode))
    if min(windows.places(input.shape[2:])) < 1:
        raise ValueError(
            f"avg_pool2d: a window of {kernel} does not fit into an image of {input.shape[2:]} "
            f"with padding {padding}"
        )
    return AvgPool2d(windows, count_include_pad)(input)
