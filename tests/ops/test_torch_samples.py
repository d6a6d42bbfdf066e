"""Our ops on the samples that PyTorch tests its own with (OpInfo): same results and gradients, but for what is listed.

The samples are no public part of PyTorch; where a version lacks them, there is nothing to compare.
"""

import re
import sys
import types
import unittest
import warnings

import numpy as np
import pytest

import tinynet
from compare import tolerance
from tinynet import functional as F

MOST = 60  # samples of an op and a dtype; max_pool2d has 1440

# Where PyTorch's name is another.
THEIR_NAMES = {"concatenate": "cat", "max": "amax", "min": "amin"}
# Of another mask, with bounds that are tensors, without a batch, and not there at all.
NO_SAMPLES = {"dropout", "clip", "local_response_norm", "to_device"}


# What ours refuse of their samples: {name: [(the message, the reason)]}.
NO_AXES = (r"dim\d? is -?\d, but a tensor of shape \(\) has no axes", "PyTorch lets 0-d tensors have an axis 0 and -1")
BATCHES = (r"input must be \(N, C, H, W\)", "batches of images only, so that a forgotten axis is an error")
NO_DTYPE = ("unexpected keyword argument 'dtype'", "no op changes the dtype on the way")
ON_PURPOSE = {
    "adaptive_avg_pool2d": [BATCHES],
    "add": [("unexpected keyword argument 'alpha'", "is a product more")],
    "avg_pool2d": [("takes from 2 to 6 positional arguments but 7", "no divisor_override: then it is no mean")],
    "concatenate": [("dim must be between -1 and 0, got 1", "PyTorch still takes an empty vector among matrices")],
    "conv2d": [BATCHES, ("got '(same|valid)'", "padding is in pixels")],
    "div": [("unexpected keyword argument 'rounding_mode'", "has no derivative")],
    "log_softmax": [NO_AXES, NO_DTYPE],
    "max": [NO_AXES],
    "max_pool2d": [BATCHES],
    "mean": [NO_AXES],
    "min": [NO_AXES],
    "pad": [("mode must be 'constant'", "others are not needed"), ("widths of 0 or more", "cutting is indexing")],
    "softmax": [NO_AXES, NO_DTYPE],
    "sub": [("unexpected keyword argument 'alpha'", "is a product more")],
    "sum": [NO_AXES],
    "transpose": [NO_AXES],
    "var": [
        ("unexpected keyword argument 'unbiased'|dim must be an integer, got bool", "the old name of correction"),
        ("correction must be a number, got NoneType", "the default is 1, not None"),
    ],
}


@pytest.fixture(scope="module")
def samples(torch):
    """{name: [OpInfo]}"""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        if "expecttest" not in sys.modules:  # which PyTorch's own tests need, and its wheel does not install
            stand_in = types.ModuleType("expecttest")
            stand_in.TestCase = unittest.TestCase
            patch.setitem(sys.modules, "expecttest", stand_in)
        invocations = pytest.importorskip("torch.testing._internal.common_methods_invocations")
    found = {}
    for op in invocations.op_db:
        found.setdefault(op.name.removeprefix("nn.functional."), []).append(op)
    return found


def converted(torch, value, inputs):
    """value with our tensors in place of PyTorch's. inputs: gets (ours, theirs) for each that needs a gradient."""
    if isinstance(value, torch.Tensor):
        ours = tinynet.tensor(value.detach().numpy(), requires_grad=value.requires_grad)
        inputs += [(ours, value)] if value.requires_grad else []
        return ours
    if isinstance(value, tuple | list):
        return type(value)(converted(torch, v, inputs) for v in value)
    if isinstance(value, dict):
        return {key: converted(torch, v, inputs) for key, v in value.items()}
    return value


def several(y):
    return y if isinstance(y, tuple | list) else (y,)


def compare(torch, f, op, sample):
    """Raises what f raises on the sample, AssertionError if it gives something else than op."""
    inputs = []
    x, args, kwargs = converted(torch, (sample.input, tuple(sample.args), sample.kwargs), inputs)
    ys = several(f(args[0], x, *args[1:]) if op.name == "where" else f(x, *args, **kwargs))
    ts = several(op.op(sample.input, *sample.args, **sample.kwargs))
    rng, ours, theirs = np.random.default_rng(0), [], []
    for y, t in zip(ys, ts, strict=True):
        assert (y.shape, str(y.dtype)) == (tuple(t.shape), str(t.dtype).removeprefix("torch."))
        np.testing.assert_allclose(y.numpy(), t.detach().numpy(), **tolerance(y.dtype))
        if t.requires_grad:
            v = rng.standard_normal(y.shape).astype(y.dtype)
            ours.append((y * tinynet.tensor(v)).sum())
            theirs.append((t * torch.tensor(v)).sum())
    if ours:
        sum(ours[1:], ours[0]).backward()
        grads = torch.autograd.grad(sum(theirs), [t for _, t in inputs], allow_unused=True)
        for (x, _), grad in zip(inputs, grads, strict=True):
            if x.grad is None or grad is None:
                assert (0 if x.grad is None else x.grad).any() == (0 if grad is None else grad).any() == 0
            else:
                np.testing.assert_allclose(x.grad, grad.numpy(), **tolerance(x.dtype))


@pytest.mark.parametrize("name", [name for name in F.__all__ if name not in NO_SAMPLES])
@pytest.mark.filterwarnings("ignore")  # of either library
def test_same_on_their_samples(torch, samples, name):
    expected, refused, compared = ON_PURPOSE.get(name, []), set(), 0
    for op in samples[THEIR_NAMES.get(name, name)]:
        for dtype in (torch.float32, torch.float64):
            drawn = list(op.sample_inputs("cpu", dtype, requires_grad=True))
            for sample in drawn[:: max(1, len(drawn) // MOST)]:
                try:
                    compare(torch, getattr(F, name), op, sample)
                    compared += 1
                except (TypeError, ValueError) as error:
                    reasons = [message for message, _ in expected if re.search(message, str(error))]
                    assert reasons, f"{error}: {str(sample)[:500]}"
                    refused.update(reasons)
    assert compared
    assert refused == {message for message, _ in expected}, "a difference that is listed did not show"
