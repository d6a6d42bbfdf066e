"""Initial values for parameters, under PyTorch's names. All work in place and return the tensor.

A unit with n inputs sums n products. If inputs and weights are independent, with mean 0 and variances
1 and v, the output has variance n * v: signals grow or shrink by that factor at every layer. So v should
be about 1 / n, where n = fan_in keeps the forward pass level and n = fan_out the backward pass (Glorot &
Bengio, 2010), and twice that after a ReLU, which silences half of its inputs (He et al., 2015).

Random numbers come from backend.generator() on the host: a seed gives the same values on every device.
"""

import math

import numpy as np

from tinynet.backend import generator, to_device, use_device
from tinynet.in_place import mark_changed


def uniform_(tensor, a=0.0, b=1.0):
    """Uniform between a and b. tensor: any shape, floating, here and below."""
    values = generator().random(tensor.shape, tensor.dtype)
    values *= b - a
    values += a
    return _write(tensor, values)


def normal_(tensor, mean=0.0, std=1.0):
    """Normal, with this mean and standard deviation, std. tensor: any shape."""
    values = generator().standard_normal(tensor.shape, tensor.dtype)
    values *= std
    values += mean
    return _write(tensor, values)


def constant_(tensor, val):
    """val everywhere. tensor: any shape."""
    with use_device(tensor.device):
        tensor.data[...] = val
    mark_changed(tensor.data)
    return tensor


def zeros_(tensor):
    """0 everywhere. tensor: any shape."""
    return constant_(tensor, 0)


def ones_(tensor):
    """1 everywhere. tensor: any shape."""
    return constant_(tensor, 1)


def xavier_uniform_(tensor, gain=1.0):
    """Uniform, with mean 0 and standard deviation gain * sqrt(2 / (fan_in + fan_out)).

    Glorot & Bengio (2010), equation 16, for gain 1: a compromise between fan_in and fan_out. tensor: (K, C, ...), a
    layer's weight. gain: see calculate_gain. Raises ValueError if tensor has fewer than two axes.
    """
    return _uniform_of_std(tensor, gain * math.sqrt(2 / sum(fans(tensor))))


def xavier_normal_(tensor, gain=1.0):
    """Normal; gain and standard deviation as in xavier_uniform_. tensor: (K, C, ...), a weight."""
    return normal_(tensor, 0, gain * math.sqrt(2 / sum(fans(tensor))))


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform, with mean 0 and standard deviation gain / sqrt(fan) (He et al., 2015, section 2.2).

    tensor: (K, C, ...), a layer's weight. a: leaky_relu's slope below 0; 0 is ReLU. mode: "fan_in" keeps the size of
    the signal level from layer to layer, "fan_out" that of the gradients. nonlinearity: see calculate_gain. Raises
    ValueError for another mode or nonlinearity, or if tensor has fewer than two axes.
    """
    return _uniform_of_std(tensor, _kaiming_std(tensor, a, mode, nonlinearity))


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal; a, mode, nonlinearity and standard deviation as in kaiming_uniform_. tensor: (K, C, ...), a weight."""
    return normal_(tensor, 0, _kaiming_std(tensor, a, mode, nonlinearity))


def calculate_gain(nonlinearity, param=None):
    """The factor by which weights must be larger to make up for the signal that the nonlinearity removes.

    nonlinearity: linear, conv2d, sigmoid, tanh, relu, or leaky_relu, whose slope below 0 is param
    (0.01 by default). Raises ValueError for another.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    gains = {"linear": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}
    if nonlinearity not in gains:
        raise ValueError(
            f"calculate_gain: nonlinearity must be one of {[*gains, 'leaky_relu']}, got {nonlinearity!r}"
        )
    return gains[nonlinearity]


def fans(tensor):
    """(fan_in, fan_out): how many inputs one output sums, and how many outputs one input feeds.

    tensor: a weight. Linear's, (K, C), gives (C, K); Conv2d's, (K, C, R, S), gives (C * R * S, K * R * S). Raises
    ValueError if there are fewer than two axes.
    """
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need at least two axes, got shape {tensor.shape}")
    filter_size = math.prod(tensor.shape[2:])
    return tensor.shape[1] * filter_size, tensor.shape[0] * filter_size


def _kaiming_std(tensor, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _uniform_of_std(tensor, std):
    bound = math.sqrt(3) * std  # uniform over [-bound, bound] has variance bound^2 / 3
    return uniform_(tensor, -bound, bound)


def _write(tensor, values):
    with use_device(tensor.device):
        tensor.data[...] = to_device(np.asarray(values), tensor.device)
    mark_changed(tensor.data)
    return tensor
