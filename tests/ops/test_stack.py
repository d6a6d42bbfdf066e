import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

CASES = [
    ((), 3, 0),
    ((3,), 1, 0),
    ((2, 3), 2, 0),
    ((2, 3), 4, 1),
    ((2, 3), 2, 2),
    ((2, 3), 2, -1),
    ((2, 3), 3, -3),
    ((0, 3), 2, 1),
]


@pytest.mark.parametrize(("shape", "count", "dim"), CASES)
def test_same_as_torch(torch, rng, dtype, device, shape, count, dim):
    def theirs(*xs):
        return torch.stack(xs, dim)

    xs = [np.asarray(rng.standard_normal(shape)) for _ in range(count)]
    assert_same_as_torch(torch, lambda *xs: F.stack(xs, dim), theirs, xs, dtype, device)


def test_gradcheck(rng):
    xs = [tinynet.tensor(rng.standard_normal((2, 3)), requires_grad=True) for _ in range(3)]
    assert tinynet.gradcheck(lambda *xs: F.stack(xs, 1), xs)


def test_reference(rng):
    xs = [rng.standard_normal((2, 3)) for _ in range(4)]
    y = F.stack([tinynet.tensor(x) for x in xs], 1).numpy()
    assert y.shape == (2, 4, 3)
    for i, k, j in np.ndindex(y.shape):
        assert y[i, k, j] == xs[k][i, j]


def test_bad_arguments():
    x = tinynet.tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"stack: input 0 has shape \(2, 3\) but input 1 \(1, 3\)"):
        F.stack((x, tinynet.tensor(np.ones((1, 3)))))
    with pytest.raises(ValueError, match="stack: tensors is empty"):
        F.stack([])
    with pytest.raises(ValueError, match="stack: dim must be between -3 and 2, got 3"):
        F.stack((x, x), 3)
    with pytest.raises(TypeError, match="stack: input 0 is float64 but input 1 is bool"):
        F.stack((x, x > 0))
    with pytest.raises(TypeError, match=r"stack: input 0 must be a tinynet.Tensor, got float"):
        F.stack((1.0, 2.0))
