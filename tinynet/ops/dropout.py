"""Dropout (Hinton et al., 2012; Krizhevsky et al., 2012, section 4.2).

Forward. In training each value is set to 0 with probability p, on its own coin; what stays is
scaled up so that the expected value of each output is its input:

    y = x * m,   m = 0 with probability p,   1 / (1 - p) otherwise

In evaluation y = x. The 2012 code did not scale in training and multiplied by 1 - p in evaluation
instead; both give the same expectation. This way ("inverted", as PyTorch does it) evaluation has
nothing to do.

Backward. For one draw of the coins y is linear in x, value by value:

    dx = dy * m

Saved: which values stayed, one byte each. The coins must not be thrown again: backward has to send
the cotangent through the very same units.
"""

from tinynet import backend
from tinynet.autograd import Function


class Dropout(Function):
    arguments = ("input",)

    def __init__(self, p):
        self.p = p

    def forward(self, x):  # x: any shape
        coins = backend.generator().random(x.shape, dtype="float32")  # on the host: one stream
        kept = backend.to_device(coins >= self.p, backend.device_of(x))
        self.save(kept)
        return self.mask(x, kept)

    def backward(self, dy):
        (kept,) = self.saved
        return self.mask(dy, kept)

    def mask(self, x, kept):
        y = x * kept
        y *= 1 / (1 - self.p) if self.p < 1 else 0
        return y


def dropout(input, p=0.5, training=True):
    """Set each value to 0 with probability p and scale the others by 1 / (1 - p).

    input: any shape. training=False: the input itself. The coins come from the generator that
    tinynet.manual_seed seeds. Raises ValueError unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be a probability from 0 to 1, got {p}")
    if not training or p == 0:
        return input
    return Dropout(p)(input)
