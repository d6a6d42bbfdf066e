"""Stack: arrays of equal shape side by side along a new axis.

Forward.   y[k] = x_k        (written with the new axis first)

Backward.  dx_k = dy[k]

Every dx_k is a view of dy. No array is saved.
"""

from tinynet.autograd import Function
from tinynet.backend import array_module
from tinynet.ops.dims import check_tensors, normalize_axis


class Stack(Function):
    def __init__(self, dim):
        self.dim = dim

    def forward(self, *xs):
        first = xs[0]
        self.axis = normalize_axis("stack", "dim", self.dim, first.ndim + 1)
        for k, x in enumerate(xs):
            if x.dtype != first.dtype:
                raise TypeError(f"stack: input 0 is {first.dtype} but input {k} is {x.dtype}")
            if x.shape != first.shape:
                raise ValueError(
                    f"stack: input 0 has shape {first.shape} but input {k} {x.shape}: "
                    "all shapes must be equal"
                )
        return array_module(first).stack(xs, axis=self.axis)

    def backward(self, dy):
        before = (slice(None),) * self.axis
        return tuple([dy[(*before, k)] for k in range(dy.shape[self.axis])])


def stack(tensors, dim=0):
    """The tensors side by side along a new axis dim: n of shape (H, W) -> (n, H, W).

    Raises ValueError if there are none or their shapes differ, TypeError if their dtypes differ.
    """
    return Stack(dim)(*check_tensors("stack", tensors))
