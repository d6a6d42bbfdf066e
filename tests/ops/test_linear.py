import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

GRID = [((3, 4), 5), ((4,), 2), ((2, 3, 4), 5), ((0, 4), 3), ((1, 1), 1), ((70, 33), 20)]


def case(rng, shape, K):
    return [rng.standard_normal(s) for s in (shape, (K, shape[-1]), (K,))]


@pytest.mark.parametrize("shape, K", GRID)
@pytest.mark.parametrize("bias", [True, False])
def test_same_as_torch(torch, rng, dtype, device, shape, K, bias):
    arrays = case(rng, shape, K)[: 3 if bias else 2]
    assert_same_as_torch(torch, F.linear, torch.nn.functional.linear, arrays, dtype, device)


@pytest.mark.parametrize("shape, K", GRID[:5])
def test_gradcheck(rng, shape, K):
    if 0 in shape:
        shape = (1, *shape[1:])
    tensors = [tinynet.tensor(a, requires_grad=True) for a in case(rng, shape, K)]
    assert tinynet.gradcheck(F.linear, tensors)


def test_loops(rng):
    x, w, b = case(rng, (3, 4), 5)
    y = F.linear(*map(tinynet.tensor, (x, w, b))).numpy()
    for n, k in np.ndindex(3, 5):
        assert np.isclose(y[n, k], sum(x[n, c] * w[k, c] for c in range(4)) + b[k], rtol=1e-12)


def test_bad_input_is_named():
    x, w = tinynet.tensor(np.zeros((2, 3))), tinynet.tensor(np.zeros((5, 4)))
    with pytest.raises(ValueError, match=r"linear: the last axis of input must have length 4 .* got input \(2, 3\)"):
        F.linear(x, w)
    with pytest.raises(ValueError, match=r"linear: weight must be \(K, C\), got shape \(4,\)"):
        F.linear(x, tinynet.tensor(np.zeros(4)))
    with pytest.raises(ValueError, match=r"linear: bias must have shape \(5,\), got \(4,\)"):
        F.linear(tinynet.tensor(np.zeros((2, 4))), w, tinynet.tensor(np.zeros(4)))


@pytest.mark.parametrize("wrong, name", [(0, "input"), (1, "weight"), (2, "bias")])
def test_integers_are_refused(device, wrong, name):
    tensors = [np.ones(shape, "f4") for shape in ((2, 4), (5, 4), (5,))]
    tensors[wrong] = tensors[wrong].astype(int)
    with pytest.raises(TypeError, match=f"^linear: {name} must be float32 or float64, got int64"):
        F.linear(*(tinynet.tensor(a, device=device) for a in tensors))
