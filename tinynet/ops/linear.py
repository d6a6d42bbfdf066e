"""Fully connected layer.

Forward.   y = x @ w.T + b          (N, K) = (N, C) @ (C, K) + (K,)

Backward.  y[n,k] = sum_c x[n,c] * w[k,c] + b[k], so w[k,c] enters the output of every image n, times x[n,c]:

    dx = dy @ w                     (N, C) = (N, K) @ (K, C)
    dw = dy.T @ x                   (K, C) = (K, N) @ (N, C)
    db = dy summed over n           (K,)

The shapes help the memory, and prove nothing: with N = C = K several products fit (docs/linear.md).
Saved: x and w, which both exist anyway.
"""

import math

from tinynet.autograd import Function
from tinynet.backend import matmul
from tinynet.ops.dims import check_tensor, require_floating
from tinynet.ops.pairwise_sum import pairwise_sum


class Linear(Function):
    arguments = ("input", "weight", "bias")

    def forward(self, x, w, b=None):  # x: (..., C)  w: (K, C)  b: (K,)
        self.save(x, w)
        y = matmul(rows(x), w.T).reshape(*x.shape[:-1], len(w))  # (..., K)
        if b is not None:
            y += b
        return y

    def backward(self, dy):  # dy: (..., K)
        x, w = self.saved
        needs = self.needs_input_grad
        dx = matmul(rows(dy), w).reshape(x.shape) if needs[0] else None
        dw = matmul(rows(dy).T, rows(x)) if needs[1] else None
        if len(needs) == 2:
            return dx, dw
        return dx, dw, pairwise_sum(rows(dy), (0,)) if needs[2] else None


def rows(x):
    """(..., C) -> (N, C): all axes but the last become rows."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def linear(input, weight, bias=None):
    """input @ weight.T + bias. input: (..., C), weight: (K, C), bias: (K,) or None -> (..., K).

    Raises ValueError if the shapes do not match, TypeError if the dtypes differ.
    """
    for argument, x in [("input", input), ("weight", weight)] + ([] if bias is None else [("bias", bias)]):
        check_tensor("linear", argument, x)
        require_floating("linear", argument, x)
    if weight.ndim != 2:
        raise ValueError(f"linear: weight must be (K, C), got shape {weight.shape}")
    K, C = weight.shape
    if input.ndim < 1 or input.shape[-1] != C:
        raise ValueError(
            f"linear: the last axis of input must have length {C} for weight {weight.shape}, got "
            f"input {input.shape}"
        )
    if bias is None:
        return Linear()(input, weight)
    if bias.shape != (K,):
        raise ValueError(f"linear: bias must have shape ({K},), got {bias.shape}")
    return Linear()(input, weight, bias)
