"""Max-pooling, with windows that may overlap (Krizhevsky et al., 2012, section 3.4: 3 x 3, stride 2).

Forward. Window (p, q) passes on its largest cell:

    y[n,c,p,q] = max over (r, s) of x[n,c,h,v]
                 with h = p*stride + r*dilation - padding,   v = q*stride + s*dilation - padding

Cells of the border count as minus infinity: a border never wins where the image has anything more.
Where a window has a NaN the last NaN wins (PyTorch's rule): nothing that went wrong gets lost here.

Backward. Moving any cell but the largest a little changes nothing, so all of dy[n,c,p,q] goes to
the cell that won, and the others get 0. Where windows overlap one cell may win several of them;
then it gets the sum. If cells tie, the first in reading order wins (PyTorch's rule).

Saved: for every window the number r * S + s of its winner, one byte each (four for windows of more
than 256 cells). Not x and not y: the numbers are all that backward needs, and a quarter of y.
"""

import numpy as np

from tinynet import kernels
from tinynet.autograd import Function
from tinynet.backend import array_module, blocks, on_gpu, parallel_for
from tinynet.windows import Windows, check_image, pad_image, pair


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
        return send_back(dy, winner, self.x_shape, self.windows)  # (N, C, H, W)


# ---------------------------------------------------------------------------- on plain arrays


def pool(x, windows, want_winner):
    """(y, winner), both (N, C, P, Q): the largest cell of each window, and its number.

    The largest of a window is the largest of its rows' largest: S cells race, and then R winners. They race
    for windows at all places at once, of which only every t-th counts: what they see then lies in one run of
    memory, and NumPy goes through that many times as fast as through every t-th number.
    """
    if on_gpu(x):
        return kernels.max_pool2d(x, windows, want_winner)
    P, Q = windows.places(x.shape[2:])
    R, S = windows.kernel
    y = np.empty((*x.shape[:2], P, Q), x.dtype)
    winner = np.empty(y.shape, np.uint8 if R * S <= 256 else np.int32) if want_winner else None

    def images(start, stop):
        for n in blocks(start, stop, x):
            image = pad_image(x[n], windows.border(x.shape[2:]), -np.inf)  # (B, C, H, W)
            number = np.zeros(image.size, winner.dtype) if want_winner else None
            best, number = race(image.reshape(-1), number, S, windows.dilation[1], 1)
            best, number = race(best, number, R, windows.dilation[0] * image.shape[3], S)
            y[n] = at_places(best, image.shape, P, Q, windows.stride)
            if want_winner:
                winner[n] = at_places(number, image.shape, P, Q, windows.stride)
                flat = y[n].reshape(-1)
                if np.isnan(flat @ flat):  # the quickest way to ask: squares add up to NaN from a NaN only
                    for i, cell in windows.cells(P, Q):
                        winner[n][np.isnan(image[cell])] = i

    parallel_for(len(x), images, x)
    return y, winner


def race(values, numbers, count, step, weight):
    """For each place but the last: the largest of `count` values that follow in memory, `step` apart, and its number.

    The number is the one in `numbers` where that value lies, and `weight` more for each step on the way there.
    """
    length = values.size - (count - 1) * step
    best, number = values[:length], None if numbers is None else numbers[:length]
    for i in range(1, count):
        here = slice(i * step, i * step + length)
        if numbers is not None:  # the last to be better than all before has the largest number
            better = values[here] > best  # > and not >=: of equals the first stays
            number = np.maximum(number, better.view(np.uint8) * (numbers[here] + i * weight))
        best = np.maximum(best, values[here], out=best if i > 1 else None)
    return best, number


def at_places(flat, shape, P, Q, stride):
    """Of one number for each cell of images of this shape (B, C, H, W), those where windows start: (B, C, P, Q)."""
    B, C, H, W = shape
    steps = C * H * W, H * W, stride[0] * W, stride[1]
    return np.lib.stride_tricks.as_strided(flat, (B, C, P, Q), [flat.itemsize * step for step in steps])


def send_back(dy, winner, x_shape, windows):
    """dx (N, C, H, W): each window's dy, added to the cell that won it."""
    if on_gpu(dy):
        return kernels.max_pool2d_backward(dy, winner, x_shape, windows)
    (C, H, W), (P, Q) = x_shape[1:], dy.shape[2:]
    top, bottom, left, right = windows.border((H, W))
    height, width = top + H + bottom, left + W + right
    dx = np.empty(x_shape, dy.dtype)
    # Where in memory the winner lies: its window's start, plus its place within the window.
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
            np.add.at(padded.reshape(-1), at.reshape(-1), dy[n].reshape(-1))  # several times into one: all count
            dx[n] = padded[..., top : top + H, left : left + W]

    parallel_for(len(dy), images, dy)
    return dx


def flat_indices(winner, x_shape, windows):
    """Where each winner lies in its image, as h * W + w (PyTorch's return_indices)."""
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
    (height, width); padding is at most half of the window. ceil_mode: also keep windows that hang
    over the far edge. Returns (N, C, P, Q); with return_indices also the place h * W + w of each
    maximum in its image, an integer tensor of the same shape. Raises ValueError where no window
    fits.
    """
    check_image("max_pool2d", input)
    kernel = pair("max_pool2d", "kernel_size", kernel_size, 1)
    windows = Windows(
        kernel,
        kernel if stride is None else pair("max_pool2d", "stride", stride, 1),
        pair("max_pool2d", "padding", padding, 0),
        pair("max_pool2d", "dilation", dilation, 1),
        ceil_mode,
    )
    for size, pad, step in zip(kernel, windows.padding, windows.dilation, strict=True):
        if 2 * pad > (size - 1) * step + 1:
            raise ValueError(
                f"max_pool2d: padding {windows.padding} is more than half of a window of {kernel} "
                f"with dilation {windows.dilation}; some windows would see only border"
            )
    if min(windows.places(input.shape[2:])) < 1:
        raise ValueError(
            f"max_pool2d: a window of {kernel} with dilation {windows.dilation} does not fit into "
            f"an image of {input.shape[2:]} with padding {windows.padding}"
        )
    return MaxPool2d(windows, return_indices)(input)
