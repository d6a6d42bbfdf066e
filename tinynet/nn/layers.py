"""Layers as modules: each owns its parameters and passes its input to the function of the same name.

The maths is in tinynet/ops/; arguments, parameter names and shapes are PyTorch's. Weights and biases
start as PyTorch's do: uniform between -1 / sqrt(fan_in) and 1 / sqrt(fan_in).
"""

import math

import numpy as np

import tinynet.functional as F
from tinynet.nn import init
from tinynet.nn.module import Module, Parameter
from tinynet.ops.adaptive_avg_pool2d import fill_in
from tinynet.ops.dims import flag, fraction, integer, number, pair
from tinynet.ops.dropout import MaskSlice
from tinynet.ops.local_response_norm import check_constants
from tinynet.ops.reduction import check_reduction
from tinynet.ops.targets import array_in


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


class ReLU(Module):
    def forward(self, x):
        return F.relu(x)


class LeakyReLU(Module):
    def __init__(self, negative_slope=0.01):
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x):
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    def forward(self, x):
        return F.sigmoid(x)


class Tanh(Module):
    def forward(self, x):
        return F.tanh(x)


class Softmax(Module):
    def __init__(self, dim):
        self.dim = integer("Softmax", "dim", dim)

    def forward(self, x):
        return F.softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class LogSoftmax(Module):
    def __init__(self, dim):
        self.dim = integer("LogSoftmax", "dim", dim)

    def forward(self, x):
        return F.log_softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class MaxPool2d(Module):
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
    def __init__(self, output_size):
        fill_in("AdaptiveAvgPool2d", output_size, (1, 1))
        self.output_size = output_size

    def forward(self, x):  # (N, C, H, W) -> (N, C, P, Q)
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self):
        return f"output_size={self.output_size}"


class LocalResponseNorm(Module):
    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0, groups=1):
        check_constants("LocalResponseNorm", size, alpha, beta, k, groups)
        self.size, self.alpha, self.beta, self.k, self.groups = size, alpha, beta, k, groups

    def forward(self, x):  # (N, C, H, W)
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k, self.groups)

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, groups={self.groups}"


class Dropout(Module):
    first_row = 0  # of a batch that is split over ranks: the number of the first image here (parallel.DataParallel)

    def __init__(self, p=0.5):
        self.p = fraction("Dropout", "p", p)

    def forward(self, x, mask=None):  # mask: a MaskSlice, where x is a part of a larger activation
        return F.dropout(x, self.p, self.training, (mask or MaskSlice())._replace(first_row=self.first_row))

    def extra_repr(self):
        return f"p={self.p}"


class Flatten(Module):
    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim = integer("Flatten", "start_dim", start_dim)
        self.end_dim = integer("Flatten", "end_dim", end_dim)

    def forward(self, x):  # (N, d1, d2, ...) -> (N, d1 * d2 * ...)
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    def forward(self, x):
        return x


def check_loss(layer, weight, ignore_index, reduction):
    if weight is not None:
        array_in(layer, "weight", weight)
    integer(layer, "ignore_index", ignore_index)
    check_reduction(layer, reduction)


class CrossEntropyLoss(Module):
    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        check_loss("CrossEntropyLoss", weight, ignore_index, reduction)
        fraction("CrossEntropyLoss", "label_smoothing", label_smoothing)
        self.weight, self.ignore_index = weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, input, target):
        return F.cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(Module):
    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        check_loss("NLLLoss", weight, ignore_index, reduction)
        self.weight, self.ignore_index, self.reduction = weight, ignore_index, reduction

    def forward(self, input, target):
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class MSELoss(Module):
    def __init__(self, reduction="mean"):
        check_reduction("MSELoss", reduction)
        self.reduction = reduction

    def forward(self, input, target):
        return F.mse_loss(input, target, self.reduction)
