"""Dropout (Hinton et al., 2012; Krizhevsky et al., 2012, section 4.2).

Forward. In training each value is set to 0 with probability p, on its own coin; what stays is
scaled up so that the expected value of each output is its input:

    y = x * m,   m = 0 with probability p,   1 / (1 - p) otherwise

In evaluation y = x. The 2012 code did not scale in training and multiplied by 1 - p in evaluation
instead; both give the same expectation. This way ("inverted", as PyTorch does it) evaluation has
nothing to do.

Backward. For one draw of the coins y is linear in x, value by value:

    dx = dy * m

Saved: nothing but a key. Backward has to send the cotangent through the very same units, and finds
them again because coin i is a function of the key and of i alone (Philox: Salmon et al., 2011). So no
mask takes up memory, and the coins are the same on every device. Nor need one device hold all of x: with
the key of the whole and the place of a part in it, a part throws its own coins and no others.
"""

import math

from tinynet import kernels
from tinynet.autograd import Function
from tinynet.backend import generator, on_gpu


class Dropout(Function):
    arguments = ("input",)

    def __init__(self, p, key, columns, first_column, first_row):
        self.p, self.key = p, key
        self.columns, self.first_column, self.first_row = columns, first_column, first_row

    def forward(self, x):  # x: any shape, one row for each image
        return self.mask(x)

    def backward(self, dy):
        return self.mask(dy)

    def mask(self, x):
        own = math.prod(x.shape[1:])
        where = own, own if self.columns is None else self.columns, self.first_column, self.first_row
        if on_gpu(x):
            return kernels.dropout(x, self.p, self.key, *where)
        y = x * (kernels.uniforms(x.shape, self.key, *where) >= self.p)
        y *= 1 / (1 - self.p) if self.p < 1 else 0
        return y


def draw_key():
    """A key from the generator that tinynet.manual_seed seeds: it decides all coins of one activation."""
    return int(generator().integers(2**64, dtype="uint64"))


def dropout(input, p=0.5, training=True, key=None, columns=None, first_column=0, first_row=0):
    """Set each value to 0 with probability p and scale the others by 1 / (1 - p).

    input: any shape. training=False: the input itself. key: of the coins; by default a new one is
    drawn, with draw_key. For an input that is a part of a larger activation, so that it gets the
    coins of its place there: columns, the numbers that one image has in the whole; first_column, the first of
    them that is here; first_row, the number of the first image. Raises ValueError unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be a probability from 0 to 1, got {p}")
    if not training or p == 0:
        return input
    return Dropout(p, draw_key() if key is None else key, columns, first_column, first_row)(input)
