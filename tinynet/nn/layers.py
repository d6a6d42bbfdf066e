"""Layers as modules: each owns its parameters and passes its input to the function of the same name.

The maths is in tinynet/ops/; arguments, parameter names and shapes are PyTorch's. Weights and biases
start as PyTorch's do: uniform between -1 / sqrt(fan_in) and 1 / sqrt(fan_in). All raise TypeError or
ValueError for an argument of the wrong type or out of range.

Shapes: N images, C channels, H x W pixels; K filters of R x S pixels; output of P x Q pixels.
"""

import math

import numpy as np

import tinynet.functional as F
from tinynet.nn import init
from tinynet.nn.module import Module, Parameter
from tinynet.ops.adaptive_avg_pool2d import fill_in
from tinynet.ops.dims import flag, fraction, integer, pair
from tinynet.ops.dropout import MaskSlice
from tinynet.ops.local_response_norm import check_constants


def new_parameter(*shape):
    return Parameter(np.zeros(shape, np.float32))


def initialize(weight, bias):
    """PyTorch's default: kaiming_uniform_ with a = sqrt(5) is uniform within +-1 / sqrt(fan_in)."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        bound = 1 / math.sqrt(init.fans(weight)[0])
        init.uniform_(bias, -bound, bound)


def check_moves(layer, **arguments):
    """Raise unless each argument's value is an int of at least `least`, or two. arguments: name=(value, least)."""
    for argument, (value, least) in arguments.items():
        pair(layer, argument, value, least)


class Linear(Module):
    """The fully connected layer: x @ weight.T + bias.

    Input: (..., C), where C is in_features. Output: (..., K), where K is out_features. Usually (N, C) -> (N, K).

    in_features, out_features: C and K, the numbers of inputs and outputs of the layer.
    bias: whether there is one.

    Parameters: weight (K, C) and bias (K,), or None. forward raises ValueError if the last axis is not C.
    """

    def __init__(self, in_features, out_features, bias=True):
        for argument, value in (("in_features", in_features), ("out_features", out_features)):
            integer("Linear", argument, value, 1)
        flag("Linear", "bias", bias)
        self.weight = new_parameter(out_features, in_features)  # (K, C)
        self.bias = new_parameter(out_features) if bias else None
        initialize(self.weight, self.bias)

    def forward(self, x):  # (..., C) -> (..., K)
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self):
        K, C = self.weight.shape
        return f"{C}, {K}, bias={self.bias is not None}"


class Conv2d(Module):
    """Correlates every image with every filter (docs/conv2d.md).

    Input: (N, C, H, W), where C is in_channels. Output: (N, K, P, Q), where K is out_channels, with
    P = (H + 2 * padding - dilation * (R - 1) - 1) // stride + 1, and Q likewise, from W and S.

    in_channels, out_channels: C and K. groups must divide both.
    kernel_size: (R, S) pixels, or one int for both; so are the next three, (height, width) or one int.
    stride: pixels from one window to the next.
    padding: rows and columns of zeros at each edge of the image.
    dilation: pixels from one weight of a filter to the next; 1 is a filter without gaps.
    groups: input and output channels are cut into this many equal groups, which do not see each other
        (2 in AlexNet's conv2, conv4 and conv5: Krizhevsky et al., 2012, section 3.5).
    bias: whether there is one.

    Parameters: weight (K, C / groups, R, S) and bias (K,), or None. forward raises ValueError if the input does
    not have C channels or no window fits.
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True
    ):
        for argument, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            integer("Conv2d", argument, value, 1)
        check_moves("Conv2d", stride=(stride, 1), padding=(padding, 0), dilation=(dilation, 1))
        flag("Conv2d", "bias", bias)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        R, S = pair("Conv2d", "kernel_size", kernel_size, 1)
        K, C = out_channels, in_channels
        self.weight = new_parameter(K, C // groups, R, S)
        self.bias = new_parameter(K) if bias else None
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        initialize(self.weight, self.bias)

    def forward(self, x):  # (N, C, H, W) -> (N, K, P, Q)
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self):
        K, C, *kernel = self.weight.shape
        return (
            f"{C * self.groups}, {K}, kernel_size={tuple(kernel)}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, "
            f"bias={self.bias is not None}"
        )


class MaxPool2d(Module):
    """The largest value of each window (docs/max_pool2d.md; Krizhevsky et al., 2012, section 3.4).

    Input: (N, C, H, W). Output: (N, C, P, Q), with P = (H + 2 * padding - dilation * (R - 1) - 1) // stride + 1
    if ceil_mode is off, and Q likewise, from W and S.

    kernel_size: (R, S) pixels of a window, or one int for both; so are the next, (height, width) or one int.
    stride: pixels from one window to the next; None: kernel_size, so that windows do not overlap.
    padding: rows and columns at each edge, at most half the window; they never win.
    dilation: pixels from one cell of a window to the next.
    ceil_mode: round P and Q up: keep windows that extend beyond the far edge.

    forward raises ValueError if no window fits.
    """

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        moves = dict(kernel_size=(kernel_size, 1), padding=(padding, 0), dilation=(dilation, 1))
        check_moves("MaxPool2d", **moves, **({} if stride is None else dict(stride=(stride, 1))))
        flag("MaxPool2d", "ceil_mode", ceil_mode)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x):  # (N, C, H, W) -> (N, C, P, Q)
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self):
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window (LeCun et al., 1998, "subsampling").

    Input: (N, C, H, W). Output: (N, C, P, Q), with P = (H + 2 * padding - R) // stride + 1
    if ceil_mode is off, and Q likewise, from W and S.

    kernel_size: (R, S) pixels of a window, or one int for both; so are the next, (height, width) or one int.
    stride: pixels from one window to the next; None: kernel_size, so that windows do not overlap.
    padding: rows and columns at each edge, at most half the window; they are zeros.
    ceil_mode: round P and Q up: keep windows that extend beyond the far edge.
    count_include_pad: the zeros of the padding count toward the mean.

    forward raises ValueError if no window fits.
    """

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        moves = dict(kernel_size=(kernel_size, 1), padding=(padding, 0))
        check_moves("AvgPool2d", **moves, **({} if stride is None else dict(stride=(stride, 1))))
        flag("AvgPool2d", "ceil_mode", ceil_mode)
        flag("AvgPool2d", "count_include_pad", count_include_pad)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x):  # (N, C, H, W) -> (N, C, P, Q)
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"ceil_mode={self.ceil_mode}, count_include_pad={self.count_include_pad}"
        )


class AdaptiveAvgPool2d(Module):
    """The means of P x Q windows that cover the image, whatever its size (Lin et al., 2013, for 1 x 1).

    Input: (N, C, H, W). Output: (N, C, P, Q).

    output_size: (P, Q), or one int for both; None for P or Q keeps H or W.

    forward raises ValueError for images without pixels.
    """

    def __init__(self, output_size):
        fill_in("AdaptiveAvgPool2d", output_size, (1, 1))
        self.output_size = output_size

    def forward(self, x):  # (N, C, H, W) -> (N, C, P, Q)
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class LocalResponseNorm(Module):
    """Damps each channel by the energy of its neighbors at the same pixel (docs/local_response_norm.md).

    Input: (N, C, H, W). Output: the same shape: x / (k + alpha / size * sum of x^2 over the window) ** beta
    (Krizhevsky et al., 2012, section 3.3, where alpha is not divided by size).

    size: channels in a window, odd: the channel itself in their middle.
    alpha, beta, k: the constants of the formula. The paper's are 5e-4 (in this form), 0.75 and 2.
    groups: the channels are cut into this many equal groups, and no window extends beyond its own.

    forward raises ValueError if groups does not divide C.
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0, groups=1):
        check_constants("LocalResponseNorm", size, alpha, beta, k, groups)
        self.size, self.alpha, self.beta, self.k, self.groups = size, alpha, beta, k, groups

    def forward(self, x):  # (N, C, H, W)
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k, self.groups)

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, groups={self.groups}"


class Dropout(Module):
    """In training, sets each value to 0 with probability p and scales the others by 1 / (1 - p) (docs/dropout.md).

    Input: any shape, floating. Output: the same shape. After eval() the output is the input.

    p: from 0 to 1; 0.5 in AlexNet's fc6 and fc7 (Hinton et al., 2012; Krizhevsky et al., 2012, section 4.2).

    The random numbers are those that tinynet.manual_seed seeds, the same on every device.
    """

    first_row = 0  # of a batch that is split over ranks: the number of the first image here (parallel.DataParallel)

    def __init__(self, p=0.5):
        self.p = fraction("Dropout", "p", p)

    def forward(self, x, mask=None):  # mask: a MaskSlice, where x is a part of a larger activation
        return F.dropout(x, self.p, self.training, (mask or MaskSlice())._replace(first_row=self.first_row))

    def extra_repr(self):
        return f"p={self.p}"


class Flatten(Module):
    """Merges the axes start_dim to end_dim, inclusive, into one.

    Input: (N, d1, d2, ...). Output: (N, d1 * d2 * ...), by default; what stands before a network's first Linear.

    start_dim, end_dim: axes; negative ones count from the last.

    forward raises ValueError if the input lacks an axis, or start_dim comes after end_dim.
    """

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim = integer("Flatten", "start_dim", start_dim)
        self.end_dim = integer("Flatten", "end_dim", end_dim)

    def forward(self, x):  # (N, d1, d2, ...) -> (N, d1 * d2 * ...)
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Returns its input, to stand where a network has a layer in other variants.

    Input: any shape. Output: the same tensor.
    """

    def forward(self, x):
        return x
