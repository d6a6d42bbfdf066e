"""Local response normalization across channels (Krizhevsky et al., 2012, section 3.3).

Forward. Each channel is damped by the energy of its neighbors. With the window
W(i) = {j : |j - i| <= size // 2}, clipped at the first and last channel (of its group),

    s_i = k + alpha / size * sum_{j in W(i)} x_j^2
    y_i = x_i * s_i^(-beta)

Backward. x_i reaches the loss along two paths: directly through y_i, and through every s_j whose
window contains channel i. Writing dx for dLoss/dx and dy for dLoss/dy, the second path is

    ds_j = -beta * dy_j * x_j * s_j^(-beta - 1),   and the slope of s_j in x_i is 2 * alpha / size * x_i

so, summed over the windows that contain i,

    dx_i = dy_i * s_i^(-beta)
           - 2 * alpha / size * beta * x_i * sum_{j : i in W(j)} dy_j * x_j * s_j^(-beta - 1)

The window is symmetric: i in W(j) exactly when j in W(i). So one helper, window_sum, serves both
passes.

The paper's formula has alpha where this has alpha / size; the 2012 code divides, as PyTorch and
Caffe do. For the paper's alpha = 1e-4 with n = 5, pass alpha = 5e-4.

Saved: x alone. s is one window sum away, and saving it would double what AlexNet's largest layer
takes in memory.
"""

import math

import numpy as np

from tinynet import kernels
from tinynet.autograd import Function
from tinynet.backend import on_gpu, parallel_for
from tinynet.ops.dims import check_image, integer, number


class LocalResponseNorm(Function):
    arguments = ("input",)

    def __init__(self, size, alpha, beta, k, groups):
        self.size, self.alpha, self.beta, self.k, self.groups = size, alpha, beta, k, groups

    def forward(self, x):  # x: (N, C, H, W)
        self.save(x)
        if on_gpu(x):
            return kernels.local_response_norm(x, self.size, self.alpha, self.beta, self.k, self.groups)
        return self.for_each_image(self.normalize, x)

    def backward(self, dy):  # dy: (N, C, H, W)
        (x,) = self.saved
        if on_gpu(x):
            return kernels.local_response_norm_backward(dy, x, self.size, self.alpha, self.beta, self.k, self.groups)
        return self.for_each_image(self.normalize_backward, x, dy)

    def normalize(self, x):  # x: (G, C/G, H*W)
        return x * power(self.energy(x), -self.beta)

    def normalize_backward(self, x, dy):  # x, dy: (G, C/G, H*W)
        s = self.energy(x)
        direct = dy * power(s, -self.beta)
        through_s = window_sum(direct * x / s, self.size)  # dy * x * s^(-beta - 1)
        through_s *= x
        through_s *= 2 * self.alpha / self.size * self.beta
        return direct - through_s

    def energy(self, x):  # s, shaped as x
        s = window_sum(x * x, self.size)
        s *= self.alpha / self.size
        s += self.k
        return s

    def for_each_image(self, formula, x, *more):
        """formula(x, *more), one image at a time, so that its temporaries stay in the cache."""
        N, C, *image = x.shape
        shape = N, self.groups, C // self.groups, math.prod(image)
        flat = [a.reshape(shape) for a in (x, *more)]
        out = np.empty(shape, x.dtype)

        def images(start, stop):
            for n in range(start, stop):
                out[n] = formula(*(a[n] for a in flat))

        parallel_for(N, images, x)
        return out.reshape(x.shape)


def window_sum(a, size):
    """out[:, i] = sum of a[:, j] over |j - i| <= size // 2, clipped at the ends. a: (G, C/G, H*W)."""
    out = a.copy()
    for step in range(1, min(size // 2, a.shape[1] - 1) + 1):
        out[:, step:] += a[:, :-step]
        out[:, :-step] += a[:, step:]
    return out


def power(s, exponent):
    """s^exponent; AlexNet's -3/4 by two square roots, which is several times faster than a power."""
    if exponent != -0.75:
        return s**exponent
    root = np.sqrt(s)  # s^(1/2)
    root *= np.sqrt(root)  # s^(1/2) * s^(1/4)
    return np.reciprocal(root, out=root)


def check_constants(op, size, alpha, beta, k, groups):
    for argument, value in (("alpha", alpha), ("beta", beta), ("k", k)):
        number(op, argument, value)
    integer(op, "groups", groups, 1)
    if integer(op, "size", size) < 1 or size % 2 == 0:
        raise ValueError(f"{op}: size must be odd and positive, got {size}")


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0, groups=1):
    """Divide each value by a power of the energy of `size` neighboring channels at the same pixel.

    input: (N, C, H, W). size: odd. alpha is divided by size, as in PyTorch; alpha and k must keep
    s = k + alpha / size * (sum of x^2) positive. beta: the power of s that x is divided by. groups: the channels are
    divided into this many equal groups, and no window extends beyond its own (1: as in PyTorch).
    Returns (N, C, H, W). Raises ValueError if size is even or groups does not divide C.
    """
    check_image("local_response_norm", input)
    check_constants("local_response_norm", size, alpha, beta, k, groups)
    if input.shape[1] % groups:
        raise ValueError(
            f"local_response_norm: groups={groups} does not divide the {input.shape[1]} channels "
            f"of input {input.shape}"
        )
    return LocalResponseNorm(size, alpha, beta, k, groups)(input)
