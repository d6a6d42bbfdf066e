"""Initial values of parameters, under PyTorch's names. All work in place and return the tensor.

A unit with n inputs adds up n products. If inputs have variance 1 and weights variance v, its
output has variance n * v: signals grow or fade by that factor at every layer. So v should be about
1 / n, with n = fan_in to keep the forward pass level, fan_out the backward pass (Glorot & Bengio,
2010), and twice that behind ReLU, which silences half of its inputs (He et al., 2015).

Numbers come from backend.generator() on the host: one seed, the same values on every device.
"""

import math

import numpy as np

from tinynet.backend import generator, to_device, use_device


def uniform_(tensor, a=0.0, b=1.0):
    """Evenly spread between a and b."""
    values = generator().random(tensor.shape, tensor.dtype)
    values *= b - a
    values += a
    return _write(tensor, values)


def normal_(tensor, mean=0.0, std=1.0):
    """Gaussian."""
    values = generator().standard_normal(tensor.shape, tensor.dtype)
    values *= std
    values += mean
    return _write(tensor, values)


def constant_(tensor, val):
    with use_device(tensor.device):
        tensor.data[...] = val
    return tensor


def zeros_(tensor):
    return constant_(tensor, 0)


def ones_(tensor):
    return constant_(tensor, 1)


def xavier_uniform_(tensor, gain=1.0):
    """Even, with standard deviation gain * sqrt(2 / (fan_in + fan_out))."""
    return _uniform_of_std(tensor, gain * math.sqrt(2 / sum(fans(tensor))))


def xavier_normal_(tensor, gain=1.0):
    """Gaussian, with standard deviation gain * sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0, gain * math.sqrt(2 / sum(fans(tensor))))


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """Even, with standard deviation gain / sqrt(fan). a: the slope of a leaky_relu below 0."""
    return _uniform_of_std(tensor, _kaiming_std(tensor, a, mode, nonlinearity))


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """Gaussian, with standard deviation gain / sqrt(fan). a: the slope of a leaky_relu below 0."""
    return normal_(tensor, 0, _kaiming_std(tensor, a, mode, nonlinearity))


def calculate_gain(nonlinearity, param=None):
    """How much larger weights must be to make up for what the nonlinearity takes away.

    nonlinearity: linear, conv2d, sigmoid, tanh, relu, or leaky_relu, whose slope below 0 is param
    (0.01 by default).
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    gains = {"linear": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}
    if nonlinearity not in gains:
        raise ValueError(
            f"calculate_gain: nonlinearity must be one of {[*gains, 'leaky_relu']}, got "
            f"{nonlinearity!r}"
        )
    return gains[nonlinearity]


def fans(tensor):
    """(fan_in, fan_out): how many inputs one output adds up, and how many outputs one input feeds.

    tensor: (out, in, ...); what follows are the cells of a filter.
    """
    if tensor.ndim < 2:
        raise ValueError(f"fan in and fan out need at least two axes, got shape {tensor.shape}")
    cells = math.prod(tensor.shape[2:])
    return tensor.shape[1] * cells, tensor.shape[0] * cells


def _kaiming_std(tensor, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _uniform_of_std(tensor, std):
    bound = math.sqrt(3) * std  # an even spread over [-bound, bound] has variance bound^2 / 3
    return uniform_(tensor, -bound, bound)


def _write(tensor, values):
    with use_device(tensor.device):
        tensor.data[...] = to_device(np.asarray(values), tensor.device)
    return tensor
