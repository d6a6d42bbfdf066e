import numpy as np

import tinynet
from compare import LARGE, assert_same_as_torch
from ops_cases import away_from
from tinynet import functional as F


def test_same_as_torch(torch, rng, dtype, device):
    for shape in [(), (1,), (3, 4), (2, 3, 5, 5), (0, 3), LARGE]:
        x = np.asarray(rng.standard_normal(shape))
        assert_same_as_torch(torch, F.relu, torch.relu, [x], dtype, device)


def test_zero_has_slope_zero():
    x = tinynet.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    F.relu(x).backward([1.0, 1.0, 1.0])
    assert x.grad.tolist() == [0, 0, 1]


def test_gradcheck(rng):
    x = tinynet.tensor(away_from(rng, (3, 5), 0), requires_grad=True)  # no finite differences across the kink
    assert tinynet.gradcheck(F.relu, x)


def test_reference(rng):
    x = rng.standard_normal((3, 5))
    y = F.relu(tinynet.tensor(x)).numpy()
    for i, j in np.ndindex(x.shape):
        assert y[i, j] == (x[i, j] if x[i, j] > 0 else 0)


def test_an_infinite_cotangent_does_not_pass_a_closed_gate():
    x = tinynet.tensor([-1.0, 2.0], requires_grad=True)
    F.relu(x).backward([np.inf, np.inf])
    assert x.grad.tolist() == [0, np.inf]
