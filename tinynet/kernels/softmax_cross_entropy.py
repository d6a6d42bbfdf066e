"""Softmax cross-entropy on a GPU: the maths is in ops/cross_entropy.py, the kernels in softmax_cross_entropy.cu."""

import numpy as np

from tinynet.backend import array_module, device_of
from tinynet.kernels.loader import ceil_div, check, kernel

WARP, THREADS = 32, 256


def softmax_cross_entropy(x, target, weight, ignore_index, label_smoothing):
    """x (N, C, D), target (N, D) -> the loss of each sample before any reduction, (N, D).

    target: int64, each a class or ignore_index (ops/targets.py checks that). weight: (C,) or None.
    """
    x, weight = check("cross_entropy", x=x, weight=weight)
    target = check_target(target, x)
    losses = array_module(x).empty(target.shape, x.dtype)
    launch("forward", x, (x, losses), target, weight, ignore_index, label_smoothing)
    return losses


def softmax_cross_entropy_backward(dl, x, target, weight, ignore_index, label_smoothing):
    """dx (N, C, D). dl: each loss's gradient, (N, D), or a single number, (). The rest as above."""
    dl, x, weight = check("cross_entropy", dl=dl, x=x, weight=weight)
    target = check_target(target, x)
    if dl.size not in (1, target.size):
        raise ValueError(f"cross_entropy: dl must hold 1 number or {target.size}, one per sample; got shape {dl.shape}")
    dx = array_module(x).empty(x.shape, x.dtype)
    stride = np.int32(dl.size != 1)
    launch("backward", x, (dl, stride, x, dx), target, weight, ignore_index, label_smoothing)
    return dx


def check_target(target, x):
    N, _, D = x.shape
    expected = np.int64, (N, D), device_of(x)
    if (target.dtype, target.shape, device_of(target)) != expected:
        raise ValueError(
            f"cross_entropy: target must be int64 {(N, D)} on {device_of(x)} for an input {x.shape}; "
            f"got {target.dtype} {target.shape} on {device_of(target)}"
        )
    return array_module(x).ascontiguousarray(target)


def launch(name, x, args, target, weight, ignore_index, label_smoothing):
    N, C, D = x.shape
    if not target.size:
        return
    args += np.int32(C), np.int32(D), target, weight, np.int64(ignore_index), x.dtype.type(label_smoothing)
    threads = min(ceil_div(max(C, 1), WARP) * WARP, THREADS)
    kernel(x, "softmax_cross_entropy", f"softmax_cross_entropy_{name}")((N * D,), (threads,), args)
