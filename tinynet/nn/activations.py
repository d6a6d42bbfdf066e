"""Activations as modules: each passes its input to the function of the same name. None has parameters."""

import tinynet.functional as F
from tinynet.nn.module import Module
from tinynet.ops.dims import integer, number


class ReLU(Module):
    """max(x, 0) (Nair & Hinton, 2010; Krizhevsky et al., 2012, section 3.1).

    Input: any shape. Output: the same shape.
    """

    def forward(self, x):  # any shape
        return F.relu(x)


class LeakyReLU(Module):
    """x where it is positive, negative_slope * x elsewhere (Maas et al., 2013).

    Input: any shape, floating. Output: the same shape.
    """

    def __init__(self, negative_slope=0.01):
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x):  # any shape
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + e^-x): squashes any number into (0, 1).

    Input: any shape, floating. Output: the same shape.
    """

    def forward(self, x):  # any shape
        return F.sigmoid(x)


class Tanh(Module):
    """tanh(x): squashes any number into (-1, 1).

    Input: any shape, floating. Output: the same shape.
    """

    def forward(self, x):  # any shape
        return F.tanh(x)


class Softmax(Module):
    """e^x / sum of e^x along one axis: turns scores into probabilities, which are positive and sum to 1.

    Input: any shape with the axis dim, floating. Output: the same shape.

    dim: the axis of the classes, an int, 1 for scores (N, C); a negative one counts from the last axis.

    Do not put it before CrossEntropyLoss, which takes the scores themselves.
    """

    def __init__(self, dim):
        self.dim = integer("Softmax", "dim", dim)

    def forward(self, x):  # any shape
        return F.softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """The logarithm of Softmax, accurate even where a probability rounds to 0 or 1. NLLLoss takes its output.

    Input: any shape with the axis dim, floating. Output: the same shape.

    dim: the axis of the classes, an int, 1 for scores (N, C); a negative one counts from the last axis.
    """

    def __init__(self, dim):
        self.dim = integer("LogSoftmax", "dim", dim)

    def forward(self, x):  # any shape
        return F.log_softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"
