"""Sliding windows on plain arrays: the geometry that convolution and pooling share.

A window of R x S pixels slides over an image of H x W in steps of `stride`. Its pixels may be
`dilation` apart, and the image may be padded by `padding` on each side. There are P x Q output positions:

    P = floor((H + 2 * padding - dilation * (R - 1) - 1) / stride) + 1          (Q likewise)

They can be visited in two ways. Window by window: window (p, q) covers the pixels
(p * stride + r * dilation, q * stride + s * dilation) of the padded image. Or pixel by pixel: pixel
(r, s) of *all* windows at once is one regular slice of that image, which starts at
(r * dilation, s * dilation) and has step `stride`. The second way takes only R * S array operations instead of
P * Q, and only R + S if it goes along one axis first and then along the other, as im2col and col2im do.
"""

from typing import NamedTuple

import numpy as np

from tinynet.backend import workspace


def output_size(size, kernel, stride, padding, dilation, ceil_mode=False):
    """How many positions a window has along one axis; 0 or less if it does not fit at all.

    ceil_mode: also count positions where the window extends beyond the far edge, as long as it starts
    inside the image or its near padding (PyTorch's rule).
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def steps(r, P, stride, dilation):
    """The slice of one axis of an image that is pixel r of all P windows."""
    return slice(r * dilation, r * dilation + stride * (P - 1) + 1, stride)


def cell(r, s, P, Q, stride, dilation):
    """The slice of a (..., H, W) image that is pixel (r, s) of all P x Q windows: (..., P, Q)."""
    return ..., steps(r, P, stride[0], dilation[0]), steps(s, Q, stride[1], dilation[1])


class Windows(NamedTuple):
    """Size and movement of the windows. Pairs are (height, width)."""

    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    ceil_mode: bool

    def places(self, image):
        """(P, Q): how many output positions they have on an image of size (H, W)."""
        sides = zip(image, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple(output_size(*side, self.ceil_mode) for side in sides)

    def border(self, image):
        """(top, bottom, left, right) padding of an image; ceil_mode may need more at the far edges."""
        border = []
        for axis, (size, count) in enumerate(zip(image, self.places(image), strict=True)):
            last = (count - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis]
            padding = self.padding[axis]
            border += [padding, max(last + 1 - padding - size, 0)]
        return border

    def first_inside(self, image):
        """(r, s): the row and the column of each window's first pixel inside the image, arrays (P, 1) and (1, Q)."""
        p, q = np.ogrid[tuple(slice(count) for count in self.places(image))]
        above, left = self.padding[0] - p * self.stride[0], self.padding[1] - q * self.stride[1]
        return -(-np.maximum(above, 0) // self.dilation[0]), -(-np.maximum(left, 0) // self.dilation[1])

    def see_only_padding(self, image):
        """Whether some window has no pixel inside the image: those that are dilated may miss it on both sides."""
        for axis, r in enumerate(self.first_inside(image) if any(self.padding) else ()):
            h = np.arange(r.size) * self.stride[axis] - self.padding[axis] + r.reshape(-1) * self.dilation[axis]
            if (r >= self.kernel[axis]).any() or (h >= image[axis]).any():
                return True
        return False

    def cells(self, P, Q):
        """(i, slice): pixel i = r * S + s of all windows at once, in row-major order."""
        R, S = self.kernel
        for i in range(R * S):
            yield i, cell(i // S, i % S, P, Q, self.stride, self.dilation)


def pad_image(x, padding, value=0.0):
    """x (..., H, W) padded by `padding` = (top, bottom, left, right) with `value`."""
    if not any(padding):
        return x
    top, bottom, left, right = padding
    H, W = x.shape[-2:]
    padded = np.full((*x.shape[:-2], top + H + bottom, left + W + right), value, x.dtype)
    padded[..., top : top + H, left : left + W] = x
    return padded


def strided_view(a, shape, steps):
    """The view of the 1-d array `a` whose element (i, j, ...) is number i * steps[0] + j * steps[1] + ... of a.

    Elements may be read several times. Raises ValueError if a has no such number: NumPy would read whatever lies there.
    """
    last = sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if a.ndim != 1 or min(steps) < 0 or (0 not in shape and last >= a.size):
        raise ValueError(f"strided_view: shape {shape} in steps of {steps} does not fit into an array {a.shape}")
    return np.lib.stride_tricks.as_strided(a, shape, [step * a.strides[0] for step in steps])


def im2col(x, kernel, P, Q, stride, dilation, out):
    """Copy every window into a column: (B, C, H, W), padded -> (C, R, S, B, P, Q), into `out`.

    Read as a matrix of C*R*S rows, each column is one window; the images are side by side. In two steps:
    for each s, those columns of the image that are pixel (., s) of some window; then for each r, their rows. The
    second step copies most. With stride 1, what it copies of an image, P rows of length Q, is contiguous.
    """
    (B, C, H, _), S = x.shape, kernel[1]
    rows = workspace("rows", (C, S, B, H, Q), x.dtype)
    for s in range(S):
        rows[:, s] = x[..., steps(s, Q, stride[1], dilation[1])].swapaxes(0, 1)
    # All r in one copy, from a view in which several windows read the same row.
    b = H * Q  # from one image to the next
    out[...] = strided_view(rows.reshape(-1), out.shape, (S * B * b, Q * dilation[0], B * b, b, Q * stride[0], 1))


def col2im(columns, x, stride, dilation):
    """The transpose of im2col: add (C, R, S, B, P, Q) to where it came from, in x (B, C, H, W).

    A pixel that several windows share receives the sum. The same two steps, in reverse.
    """
    C, R, S, B, P, Q = columns.shape
    rows = workspace("rows", (C, S, B, x.shape[2], Q), x.dtype)
    rows[...] = 0
    for r in range(R):
        rows[..., steps(r, P, stride[0], dilation[0]), :] += columns[:, r]
    for s in range(S):
        x[..., steps(s, Q, stride[1], dilation[1])] += rows[:, s].swapaxes(0, 1)
