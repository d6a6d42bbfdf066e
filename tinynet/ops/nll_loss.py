"""Negative log-likelihood: how unlikely the model thought the right class.

x holds log-probabilities, (N, C, ...), and t the number of the right class at each place.

Forward.   l_n = -w[t_n] * x[n, t_n]

w weighs the classes (1 without weights). A target equal to ignore_index weighs 0, whatever its x.
The mean is a weighted one: sum_n l_n / sum_n w[t_n].

Backward.  l_n holds one x only:   dx[n,c] = -w[t_n] * dl_n * [c = t_n]

Saved: where the picked x lie and what they weigh; not x.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from tinynet.autograd import Function, Tensor
from tinynet.backend import array_module, device_of, to_device, use_device
from tinynet.ops.dims import require_floating
from tinynet.ops.reduction import check_reduction, reduce, share


class NllLoss(Function):
    arguments = ("input",)

    def __init__(self, target, weight, ignore_index, reduction):
        self.target, self.weight, self.ignore_index = target, weight, ignore_index
        self.reduction = reduction

    def forward(self, x):  # x: (N, C, d1, ...)
        self.x_shape = x.shape
        self.places = places = locate(x, self.target, self.weight, self.ignore_index)
        losses = -places.weights * places.pick(x.reshape(places.shape))  # (N, D)
        return reduce(losses.reshape(self.target.shape), self.reduction, places.weights.sum())

    def backward(self, dy):  # dy: target's shape, or ()
        places = self.places
        dl = share(dy, self.reduction, places.weights.sum())
        dx = array_module(dy).zeros(places.shape, dy.dtype)
        dx[places.at] = -places.weights * places.flat(dl)
        return dx.reshape(self.x_shape)


class Places(NamedTuple):
    """The targets as (N, D) places: an image batch has D = d1 * d2 * ... of them, else D is 1."""

    shape: tuple  # (N, C, D) of the input
    at: tuple  # indexes (N, C, D) at each place's target, where a target is ignored at class 0
    kept: Any  # (N, D), False where the target is ignored
    weights: Any  # (N, D), of each target's class; 0 where ignored

    def pick(self, x):
        """x (N, C, D) at the targets: (N, D). Ignored ones are 0, even where x is infinite."""
        return array_module(x).where(self.kept, x[self.at], 0)

    def flat(self, dl):
        """dl of target's shape as (N, D); one that is the same everywhere stays a number."""
        return dl if dl.ndim == 0 else dl.reshape(self.kept.shape)


def locate(x, target, weight, ignore_index):
    xp = array_module(x)
    N, _, D = shape = flat_shape(x.shape)
    target = target.reshape(N, D)
    kept = target != ignore_index
    target = xp.where(kept, target, 0)
    weights = kept.astype(x.dtype) if weight is None else weight[target] * kept
    return Places(shape, (xp.arange(N)[:, None], target, xp.arange(D)), kept, weights)


def flat_shape(shape):
    """(C,) -> (1, C, 1);  (N, C, d1, ...) -> (N, C, d1 * ...)."""
    return (1, *shape, 1) if len(shape) == 1 else (*shape[:2], math.prod(shape[2:]))


def check_input(op, input):
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}: input must be a tinynet.Tensor, got {type(input).__name__}")
    require_floating(op, "input", input)
    if input.ndim == 0:
        raise ValueError(f"{op}: input must be (C,) or (N, C, ...), got shape ()")


def check_classes(op, input, target, ignore_index):
    """The array in `target`, if it holds a class of input (N, C, d1, ...) for each place."""
    target = constant(op, "target", target, input)
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
        target = target.astype(np.int64)  # no smaller integer need hold ignore_index
        wrong = ((target < 0) | (target >= C)) & (target != ignore_index)
        if wrong.any():
            index = tuple(np.argwhere(to_device(wrong, "cpu"))[0].tolist())
            raise ValueError(
                f"{op}: target holds {target[index].item()} at index {index}, but input has {C} "
                f"classes: 0 to {C - 1}"
            )
    return target


def check_weight(op, input, weight):
    """The array in `weight`, if it fits the classes of input; None stays None."""
    if weight is None:
        return None
    weight = constant(op, "weight", weight, input)
    C = input.shape[0 if input.ndim == 1 else 1]
    if weight.shape != (C,):
        raise ValueError(
            f"{op}: weight must have shape ({C},), one for each class, got {weight.shape}"
        )
    if weight.dtype != input.dtype:
        raise TypeError(f"{op}: weight is {weight.dtype} but input is {input.dtype}; convert one")
    return weight


def constant(op, argument, value, input):
    """The array in `value`, a tensor or array on input's device that gets no gradient."""
    array = value.data if isinstance(value, Tensor) else value
    if not hasattr(array, "dtype"):
        raise TypeError(
            f"{op}: {argument} must be a tensor or an array, got {type(value).__name__}"
        )
    if isinstance(value, Tensor) and value.requires_grad:
        raise ValueError(f"{op}: {argument} is a constant here, but it has requires_grad=True")
    if device_of(array) != input.device:
        raise ValueError(
            f"{op}: {argument} is on {device_of(array)} but input on {input.device}; "
            "move one with .to(device)"
        )
    return array


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """-input at the class that target names: the mean, the sum, or all (reduction="none").

    input: log-probabilities (N, C), (N, C, d1, ...) or (C,); see log_softmax. target: integers,
    input's shape without C. weight: (C,) or None. Targets equal to ignore_index do not count; if
    there are no others the mean is nan. Raises ValueError or TypeError where these do not fit.
    """
    check_input("nll_loss", input)
    check_reduction("nll_loss", reduction)
    target = check_classes("nll_loss", input, target, ignore_index)
    weight = check_weight("nll_loss", input, weight)
    return NllLoss(target, weight, ignore_index, reduction)(input)
