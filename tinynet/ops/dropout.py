"""Dropout (Hinton et al., 2012; Krizhevsky et al., 2012, section 4.2).

Forward. In training each value is set to 0 with probability p, independently; the others are scaled up so that the
expected value of each output is its input:

    y = x * m,   m = 0 with probability p,   1 / (1 - p) otherwise

In evaluation y = x. The 2012 code did not scale in training and multiplied by 1 - p in evaluation instead; both
give the same expectation. This way ("inverted dropout", as in PyTorch) evaluation has nothing to do.

Backward. For a given mask m, y is linear in x, element by element:

    dx = dy * m

Saved: only a key. Backward must apply the very same mask, and computes it again: uniform number i is a function of the
key and of i alone (Philox: Salmon et al., 2011). So no mask takes up memory, and masks are the same on every
device. Nor does one device have to hold all of x: with the key of the whole activation and its own place in it
(MaskSlice), a part of x gets the same part of the mask.
"""

import math
from typing import NamedTuple

from tinynet import kernels
from tinynet.autograd import Function
from tinynet.backend import generator, on_gpu
from tinynet.ops.dims import check_tensor, flag, fraction, require_floating


class MaskSlice(NamedTuple):
    """Where the input of dropout lies in a larger activation, one row per image, whose mask it gets a part of.

    key: decides the whole mask; None draws a new one. columns: numbers per image in the whole activation; None: as many
    as here. first_column, first_row: of the input, in the whole.
    """

    key: int | None = None
    columns: int | None = None
    first_column: int = 0
    first_row: int = 0


class Dropout(Function):
    arguments = ("input",)

    def __init__(self, p, mask):
        self.p, self.mask = p, mask

    def forward(self, x):  # any shape, one row per image
        require_floating("dropout", "input", x)
        return self.masked(x)

    def backward(self, dy):
        return self.masked(dy)

    def masked(self, x):
        key, columns, *first = self.mask
        length = math.prod(x.shape[1:])
        where = length, length if columns is None else columns, *first
        if on_gpu(x):
            return kernels.dropout(x, self.p, key, *where)
        y = x * (kernels.uniforms(x.shape, key, *where) >= self.p)
        y *= 1 / (1 - self.p) if self.p < 1 else 0
        return y


def draw_key():
    """A key from the generator that tinynet.manual_seed seeds: it decides the whole mask of one activation."""
    return int(generator().integers(2**64, dtype="uint64"))


def dropout(input, p=0.5, training=True, mask=None):
    """Set each value to 0 with probability p and scale the others by 1 / (1 - p).

    input: any shape. training=False: the input itself. mask: a MaskSlice, for an input that is a part of a larger
    activation. Raises ValueError unless 0 <= p <= 1.
    """
    check_tensor("dropout", "input", input)
    fraction("dropout", "p", p)
    mask = MaskSlice() if mask is None else mask
    if not isinstance(mask, MaskSlice):
        raise TypeError(f"dropout: mask must be a MaskSlice or None, got {type(mask).__name__}")
    if not flag("dropout", "training", training) or p == 0:
        return input
    return Dropout(p, mask if mask.key is not None else mask._replace(key=draw_key()))(input)
