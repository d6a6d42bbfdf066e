"""Max-pooling, with windows that may overlap (Krizhevsky et al., 2012, section 3.4: 3 x 3, stride 2).

Forward. Window (p, q) passes on its largest value:

    y[n,c,p,q] = max over (r, s) of x[n,c,h,v]
                 with h = p*stride + r*dilation - padding,   v = q*stride + s*dilation - padding

The padding counts as minus infinity and never wins, not even over a pixel of minus infinity. If a window
contains NaNs, the last of them wins (PyTorch's rule), so that no NaN gets lost.

Backward. Moving any pixel but the largest a little changes nothing, so all of dy[n,c,p,q] goes to
the pixel that won, and the others get 0. Where windows overlap, a pixel that wins several of them gets
the sum. If pixels tie, the first in row-major order wins (PyTorch's rule).

Saved: for every window the number r * S + s of its winner, in one byte (four for windows of more than
256 pixels). Neither x nor y: the numbers are all that backward needs, and a quarter of y's size.
"""

import numpy as np

from tinynet import kernels
from tinynet.autograd import Function
from tinynet.backend import array_module, blocks, on_gpu, parallel_for
from tinynet.ops.dims import check_image, flag, pair
from tinynet.windows import Windows, pad_image, strided_view


class MaxPool2d(Function):
    arguments = ("input",)

    def __init__(self, windows, return_indices):
        self.windows, self.return_indices = windows, return_indices

    def forward(self, x):  # x: (N, C, H, W)
        self.x_shape = x.shape
        y, winner = pool(x, self.windows, self.needs_backward or self.return_indices)
        self.save(winner)
        if self.return_indices:
            return y, flat_indices(winner, x.shape, self.windows)
        return y  # (N, C, P, Q)

    def backward(self, dy, *_):  # dy: (N, C, P, Q); indices have no cotangent
        (winner,) = self.saved
        return pool_backward(dy, winner, self.x_shape, self.windows)  # (N, C, H, W)


# ---------------------------------------------------------------------------- on plain arrays


def pool(x, windows, want_winner):
    """(y, winner), both (N, C, P, Q): the largest value of each window, and its number in the window.

    The maximum of a window is the maximum of its rows' maxima: first over S pixels, then over R maxima. Both
    are taken for windows that start at every pixel, whatever the stride, because NumPy reads contiguous memory
    many times as fast as every t-th number. Only then are the windows that count picked out.
    """
    if on_gpu(x):
        return kernels.max_pool2d(x, windows, want_winner)
    P, Q = windows.places(x.shape[2:])
    R, S = windows.kernel
    y = np.empty((*x.shape[:2], P, Q), x.dtype)
    winner = np.empty(y.shape, np.uint8 if R * S <= 256 else np.int32) if want_winner else None
    r, s = windows.first_inside(x.shape[2:])
    first_inside = r * S + s  # (P, Q)

    def images(start, stop):
        for n in blocks(start, stop, x):
            image = pad_image(x[n], windows.border(x.shape[2:]), -np.inf)  # (B, C, H, W)
            number = np.zeros(image.size, winner.dtype) if want_winner else None
            best, number = sliding_max(image.reshape(-1), number, S, windows.dilation[1], 1)
            best, number = sliding_max(best, number, R, windows.dilation[0] * image.shape[3], S)
            y[n] = at_windows(best, image.shape, P, Q, windows.stride)
            if want_winner:
                winner[n] = at_windows(number, image.shape, P, Q, windows.stride)
                if any(windows.padding):  # which ties with -inf in the image, but may not win
                    np.copyto(winner[n], first_inside, where=y[n] == -np.inf, casting="unsafe")
                flat = y[n].reshape(-1)
                if np.isnan(flat @ flat):  # the fastest test: a sum of squares is NaN only if one of them is
                    for i, seen in windows.cells(P, Q):  # pixel i of all windows at once
                        winner[n][np.isnan(image[seen])] = i

    parallel_for(len(x), images, x)
    return y, winner


def sliding_max(values, numbers, count, step, weight):
    """For each start i: the largest of values[i], values[i + step], ..., `count` of them, and its number.

    The number of values[i + k * step] is numbers[i + k * step] + k * weight.
    """
    length = values.size - (count - 1) * step
    best, number = values[:length], None if numbers is None else numbers[:length]
    for i in range(1, count):
        here = slice(i * step, i * step + length)
        if numbers is not None:  # the last value to beat all before it has the largest number
            better = values[here] > best  # > and not >=: the first of equals wins
            number = np.maximum(number, better.view(np.uint8) * (numbers[here] + i * weight))
        best = np.maximum(best, values[here], out=best if i > 1 else None)
    return best, number


def at_windows(flat, shape, P, Q, stride):
    """Of one number per pixel of images of shape (B, C, H, W), those where a window starts: (B, C, P, Q)."""
    B, C, H, W = shape
    return strided_view(flat, (B, C, P, Q), (C * H * W, H * W, stride[0] * W, stride[1]))


def pool_backward(dy, winner, x_shape, windows):
    """dx (N, C, H, W): each window's dy, added to the pixel that won it."""
    if on_gpu(dy):
        return kernels.max_pool2d_backward(dy, winner, x_shape, windows)
    (C, H, W), (P, Q) = x_shape[1:], dy.shape[2:]
    top, bottom, left, right = windows.border((H, W))
    height, width = top + H + bottom, left + W + right
    dx = np.empty(x_shape, dy.dtype)
    # The winner's offset in memory: its window's start, plus its offset within the window.
    r, s = np.indices(windows.kernel).reshape(2, -1)
    within = r * windows.dilation[0] * width + s * windows.dilation[1]  # (R * S,)
    p, q = np.ogrid[:P, :Q]
    starts = p * windows.stride[0] * width + q * windows.stride[1]  # (P, Q)

    def images(start, stop):
        for n in blocks(start, stop, dx):
            B = n.stop - n.start
            padded = np.zeros((B, C, height, width), dy.dtype)
            at = within.take(winner[n])  # (B, C, P, Q)
            at += starts + np.arange(B * C).reshape(B, C, 1, 1) * (height * width)
            np.add.at(padded.reshape(-1), at.reshape(-1), dy[n].reshape(-1))  # repeated indices all add up
            dx[n] = padded[..., top : top + H, left : left + W]

    parallel_for(len(dy), images, dy)
    return dx


def flat_indices(winner, x_shape, windows):
    """Each winner's index in its image, h * W + w (PyTorch's return_indices)."""
    xp = array_module(winner)
    r, s = xp.divmod(winner.astype(xp.int64), windows.kernel[1])
    p, q = xp.arange(winner.shape[2])[:, None], xp.arange(winner.shape[3])
    h = p * windows.stride[0] + r * windows.dilation[0] - windows.padding[0]
    w = q * windows.stride[1] + s * windows.dilation[1] - windows.padding[1]
    return h * x_shape[3] + w


# ------------------------------------------------------------------------------ public function


def max_pool2d(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """The largest value in each window.

    input: (N, C, H, W). kernel_size, stride (default: kernel_size), padding, dilation: an int, or
    (height, width). ceil_mode: keep windows that extend beyond the far edge. Returns (N, C, P, Q); with
    return_indices also the index h * W + w of each maximum in its image, an integer tensor of the same
    shape. Raises ValueError if no window fits or padding is more than half the window.
    """
    check_image("max_pool2d", input)
    kernel = pair("max_pool2d", "kernel_size", kernel_size, 1)
    windows = Windows(
        kernel,
        kernel if stride is None else pair("max_pool2d", "stride", stride, 1),
        pair("max_pool2d", "padding", padding, 0),
        pair("max_pool2d", "dilation", dilation, 1),
        flag("max_pool2d", "ceil_mode", ceil_mode),
    )
    for size, pad, step in zip(kernel, windows.padding, windows.dilation, strict=True):
        if 2 * pad > (size - 1) * step + 1:
            raise ValueError(
                f"max_pool2d: padding {windows.padding} is more than half of a window of {kernel} "
                f"with dilation {windows.dilation}; some windows would see only padding"
            )
    image, what = input.shape[2:], f"max_pool2d: a window of {kernel} with dilation {windows.dilation}"
    if min(windows.places(image)) < 1:
        raise ValueError(f"{what} does not fit into an image of {image} with padding {windows.padding}")
    if windows.see_only_padding(image):
        raise ValueError(f"{what} sees only padding, in an image of {image} with padding {windows.padding}")
    return MaxPool2d(windows, flag("max_pool2d", "return_indices", return_indices))(input)
