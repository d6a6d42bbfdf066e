"""Transpose: exchange two axes.

Forward.   y[..., j, ..., i, ...] = x[..., i, ..., j, ...]

Backward.  Exchanging the same two axes again returns every dy to its element:

    dx = dy with the two axes exchanged

No data moves: y is a view of x's memory with two strides exchanged. No array is saved.
"""

from tinynet.autograd import Function, Tensor
from tinynet.ops.dims import normalize_axis


class Transpose(Function):
    arguments = ("input",)

    def __init__(self, dim0, dim1):
        self.dim0, self.dim1 = dim0, dim1

    def forward(self, x):
        self.axes = (
            normalize_axis("transpose", "dim0", self.dim0, x.ndim),
            normalize_axis("transpose", "dim1", self.dim1, x.ndim),
        )
        return x.swapaxes(*self.axes)

    def backward(self, dy):
        return dy.swapaxes(*self.axes)


def transpose(input, dim0, dim1):
    """input with the axes dim0 and dim1 exchanged. Raises ValueError if input lacks one of them."""
    return Transpose(dim0, dim1)(input)


def matrix_transpose(self):
    """The transpose of a matrix. Raises ValueError if self has any other number of axes."""
    if self.ndim != 2:
        raise ValueError(f"T needs a tensor with two axes, got shape {self.shape}; use transpose")
    return transpose(self, 0, 1)


Tensor.transpose = transpose
Tensor.T = property(matrix_transpose)
