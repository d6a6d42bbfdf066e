"""Matrix product.

Forward.   y = x z, that is  y_nm = sum_k x_nk * z_km.

Backward.  x_nk multiplies row k of z and contributes to row n of y:

    dx_nk = sum_m dy_nm * z_km     so    dx = dy z^T        (N, M) (M, K) -> (N, K)
    dz_km = sum_n x_nk * dy_nm     so    dz = x^T dy        (K, N) (N, M) -> (K, M)

Which side is transposed? The shapes tell, unless the matrices are square (docs/linear.md).

Axes before the last two are a batch of matrices, and broadcast; arithmetic's `unbroadcast` sums over
the axes that were stretched. In the most common case, x (..., N, K) with one matrix z (K, M), the
batch just means more rows of x: folding them in gives one large product instead of many small ones, and
dz comes out summed. A vector is a matrix with one row (on the left) or one column (on the right),
whose axis of length 1 is dropped again.

Saved: for each gradient that is wanted, the other operand.
"""

import math

from tinynet import backend
from tinynet.autograd import Function, Tensor
from tinynet.ops.arithmetic import unbroadcast


class Matmul(Function):
    arguments = ("input", "other")

    def forward(self, x, z):
        check(x, z)
        self.shapes = x.shape, z.shape
        x, z = matrices(x, z)
        y = backend.matmul(x, z)  # (..., N, M)
        self.matrix_shapes = x.shape, z.shape, y.shape
        for_x, for_z = self.needs_input_grad
        self.save(x if for_z else None, z if for_x else None)
        return y.reshape(y_shape(*self.shapes, y.shape[:-2]))

    def backward(self, dy):
        x, z = self.saved
        x_shape, z_shape, y_shape = self.matrix_shapes
        dy = dy.reshape(y_shape)
        dx = dz = None
        if z is not None:
            dx = unbroadcast(backend.matmul(dy, z.swapaxes(-1, -2)), x_shape).reshape(self.shapes[0])
        if x is not None:
            dz = unbroadcast(backend.matmul(x.swapaxes(-1, -2), dy), z_shape).reshape(self.shapes[1])
        return dx, dz


def matrices(x, z):
    """x as (..., N, K) and z as (..., K, M); if z is a single matrix, x's batch is folded into N."""
    if x.ndim == 1 or z.ndim <= 2:
        x = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return x, z.reshape(-1, 1) if z.ndim == 1 else z


def y_shape(x_shape, z_shape, batch):
    """(*batch, N, M), without N if x was a vector and without M if z was one."""
    if len(z_shape) <= 2:
        batch = x_shape[:-2]
    return (*batch, *x_shape[-2:-1], *(z_shape[-1:] if len(z_shape) > 1 else ()))


def check(x, z):
    if not x.ndim or not z.ndim:
        raise ValueError(
            f"matmul: input has shape {x.shape} and other {z.shape}: both need at least one axis"
        )
    if x.dtype != z.dtype:
        raise TypeError(f"matmul: input is {x.dtype} but other is {z.dtype}; convert one of them")
    columns, rows = x.shape[-1], z.shape[-2:][0]
    if columns != rows:
        raise ValueError(
            f"matmul: input has shape {x.shape} and other {z.shape}: "
            f"{columns} columns do not match {rows} rows"
        )
    for n, m in zip(reversed(x.shape[:-2]), reversed(z.shape[:-2]), strict=False):
        if n != m and n != 1 and m != 1:
            raise ValueError(
                f"matmul: input has shape {x.shape} and other {z.shape}: "
                f"batches of {n} and {m} do not broadcast"
            )


def matmul(input, other):
    """input @ other: (..., N, K) @ (..., K, M) -> (..., N, M), where the batch axes broadcast.

    A vector (K,) on the left gives (..., M), one on the right (..., N), two a single number. Raises
    ValueError if the shapes do not match, TypeError if the dtypes differ.
    """
    return Matmul()(input, other)


Tensor.__matmul__ = matmul
# An array on either side ends up here too, and gets an error that asks for a tensor.
Tensor.__rmatmul__ = lambda self, other: matmul(other, self)
