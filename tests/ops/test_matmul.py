import operator

import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

SHAPES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((1, 1), (1, 1)),
    ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (2, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((6, 5, 2, 3), (3, 4)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((0,), (0,)),
    ((5, 2, 0), (0, 4)),
    ((0, 2, 3), (3, 4)),
    ((2, 3), (0, 3, 4)),
    ((130, 70), (70, 120)),  # large enough for several threads
]


def test_same_as_torch(torch, rng, dtype, device):
    for shapes in SHAPES:
        xs = [rng.standard_normal(s) for s in shapes]
        assert_same_as_torch(torch, F.matmul, torch.matmul, xs, dtype, device)
    assert_same_as_torch(torch, operator.matmul, operator.matmul, xs, dtype, device)


def test_views(torch, rng, dtype, device):
    """Operands whose memory is not in row-major order."""
    xs = [rng.standard_normal((3, 5, 2)), rng.standard_normal((4, 3))]
    assert_same_as_torch(
        torch,
        lambda x, z: F.matmul(x.transpose(0, 2), z.T),
        lambda x, z: torch.matmul(x.transpose(0, 2), z.T),
        xs, dtype, device,
    )


def test_gradcheck(rng):
    batches = [((2, 1, 2, 3), (2, 3, 2)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2))]
    vectors = [((3,), (3,)), ((3,), (2, 3, 2)), ((2, 2, 3), (3,))]
    for shapes in [((2, 3), (3, 2)), *batches, *vectors]:
        xs = [tinynet.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]
        assert tinynet.gradcheck(F.matmul, xs)


def test_reference(rng):
    x, z = rng.standard_normal((2, 3, 4)), rng.standard_normal((4, 5))
    y = F.matmul(tinynet.tensor(x), tinynet.tensor(z)).numpy()
    assert y.shape == (2, 3, 5)
    for b, n, m in np.ndindex(y.shape):
        total = 0.0
        for k in range(4):
            total += x[b, n, k] * z[k, m]
        assert y[b, n, m] == pytest.approx(total, rel=1e-12)


def test_only_what_a_gradient_needs_is_saved(rng):
    x = tinynet.tensor(rng.standard_normal((2, 3)))
    w = tinynet.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    saved_x, saved_w = (x @ w).function.saved
    assert saved_w is None
    np.testing.assert_array_equal(saved_x, x.data)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((3, 4), (5, 6), r"has shape \(3, 4\) and other \(5, 6\): 4 columns do not match 5 rows"),
        ((4,), (5,), r"has shape \(4,\) and other \(5,\): 4 columns do not match 5 rows"),
        ((2, 4), (5,), "4 columns do not match 5 rows"),
        ((2, 3, 4), (3, 4, 5), r"other \(3, 4, 5\): batches of 2 and 3 do not broadcast"),
        ((), (3,), r"input has shape \(\) and other \(3,\): both need at least one axis"),
        ((3,), (), "both need at least one axis"),
    ],
)
def test_bad_shapes(first, second, message):
    with pytest.raises(ValueError, match="matmul: .*" + message):
        F.matmul(tinynet.tensor(np.ones(first)), tinynet.tensor(np.ones(second)))


def test_bad_types():
    x = tinynet.tensor(np.ones((2, 2), np.float32))
    with pytest.raises(TypeError, match="matmul: input is float32 but other is int64"):
        x @ tinynet.tensor(np.ones((2, 2), np.int64))
    with pytest.raises(TypeError, match="matmul: other is float64 but input is float32"):
        x @ tinynet.tensor(np.ones((2, 2)))
    with pytest.raises(TypeError, match=r"matmul: other must be a tinynet.Tensor, got ndarray"):
        x @ np.ones((2, 2), np.float32)
    with pytest.raises(TypeError, match=r"matmul: input must be a tinynet.Tensor, got ndarray"):
        np.ones((2, 2), np.float32) @ x
