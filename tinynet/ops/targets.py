"""The targets of classifiers: how the losses check them and look up their scores.

Scores are (C,), (N, C) or (N, C, d1, ...); the target names one class per position, so it has the same
shape less C. All of these are brought to one form, (N, C, D) with D = d1 * d2 * ...
"""

import math
from typing import Any, NamedTuple

import numpy as np

from tinynet.autograd import Tensor, plain_array
from tinynet.backend import array_module, device_of, to_device, use_device
from tinynet.ops.dims import check_tensor, require_floating


class Positions(NamedTuple):
    """The positions (N, D) that have a target: D = d1 * d2 * ..., or 1 for scores (N, C) or (C,)."""

    shape: tuple  # (N, C, D) of the input
    at: tuple  # indexes (N, C, D) at each position's target; at class 0 where the target is ignored
    kept: Any  # (N, D), False where the target is ignored
    weights: Any  # (N, D), the weight of each target's class; 0 where ignored

    def pick(self, x):
        """x (N, C, D) at the targets: (N, D). Ignored targets give 0, even where x is infinite."""
        return array_module(x).where(self.kept, x[self.at], 0)

    def flat(self, dl):
        """dl with target's shape as (N, D); one number for all losses stays a number."""
        return dl if dl.ndim == 0 else dl.reshape(self.kept.shape)


def locate(x, target, weight, ignore_index):
    xp = array_module(x)
    N, _, D = shape = flat_shape(x.shape)
    target = target.reshape(N, D)
    kept = target != ignore_index
    target = xp.where(kept, target, 0)
    weights = kept.astype(x.dtype) if weight is None else weight[target] * kept
    return Positions(shape, (xp.arange(N)[:, None], target, xp.arange(D)), kept, weights)


def flat_shape(shape):
    """(C,) -> (1, C, 1);  (N, C, d1, ...) -> (N, C, d1 * ...)."""
    return (1, *shape, 1) if len(shape) == 1 else (*shape[:2], math.prod(shape[2:]))


def check_input(op, input):
    check_tensor(op, "input", input)
    require_floating(op, "input", input)
    if input.ndim == 0:
        raise ValueError(f"{op}: input must be (C,) or (N, C, ...), got shape ()")


def check_classes(op, input, target, ignore_index):
    """The array in `target`; raises unless it holds one class of input (N, C, d1, ...) per position.

    A NumPy array for an input on a GPU is checked on the host and then copied, so nothing waits for the GPU.
    """
    on_host = isinstance(target, np.ndarray)
    target = plain_array(f"{op}: target", target) if on_host else constant(op, "target", target, input)
    if target.dtype.kind not in "iu":
        raise TypeError(f"{op}: target must hold integers, the classes, got {target.dtype}")
    expected = () if input.ndim == 1 else (input.shape[0], *input.shape[2:])
    if target.shape != expected:
        raise ValueError(
            f"{op}: target must have shape {expected} for an input of shape {input.shape}, got "
            f"{target.shape}"
        )
    C = input.shape[0 if input.ndim == 1 else 1]
    with use_device(input.device):
        target = target.astype(np.int64)  # a smaller integer type might not hold ignore_index
        wrong = ((target < 0) | (target >= C)) & (target != ignore_index)
        if wrong.any():
            index = tuple(np.argwhere(to_device(wrong, "cpu"))[0].tolist())
            raise ValueError(
                f"{op}: target holds {target[index].item()} at index {index}, but input has {C} "
                f"classes: 0 to {C - 1}"
            )
        return to_device(target, input.device)


def check_weight(op, input, weight):
    """The array in `weight`; raises unless it holds one number per class of input. None stays None."""
    if weight is None:
        return None
    weight = constant(op, "weight", weight, input)
    C = input.shape[0 if input.ndim == 1 else 1]
    if weight.shape != (C,):
        raise ValueError(
            f"{op}: weight must have shape ({C},), one per class, got {weight.shape}"
        )
    if weight.dtype != input.dtype:
        raise TypeError(f"{op}: weight is {weight.dtype} but input is {input.dtype}; convert one")
    return weight


def array_in(op, argument, value):
    """The array in `value`, a tensor or an array."""
    array = value.data if isinstance(value, Tensor) else value
    if not hasattr(array, "dtype"):
        raise TypeError(f"{op}: {argument} must be a tensor or an array, got {type(value).__name__}")
    return plain_array(f"{op}: {argument}", array)


def constant(op, argument, value, input):
    """The array in `value`; raises unless it is a tensor or array on input's device that needs no gradient."""
    array = array_in(op, argument, value)
    if isinstance(value, Tensor) and value.requires_grad:
        raise ValueError(f"{op}: {argument} is a constant here, but it has requires_grad=True")
    if device_of(array) != input.device:
        raise ValueError(
            f"{op}: {argument} is on {device_of(array)} but input on {input.device}; "
            "move one with .to(device)"
        )
    return array
