import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

CASES = [
    ([(3,)], 0),
    ([(3,), (2,), (4,)], 0),
    ([(2, 3), (1, 3)], 0),
    ([(2, 3), (2, 1), (2, 4)], 1),
    ([(2, 3), (2, 3)], -1),
    ([(2, 1, 3), (2, 5, 3)], -2),
    ([(0, 3), (2, 3)], 0),
    ([(2, 0), (2, 0)], 1),
]


@pytest.mark.parametrize(("shapes", "dim"), CASES)
def test_same_as_torch(torch, rng, dtype, device, shapes, dim):
    def theirs(*xs):
        return torch.concatenate(xs, dim)

    xs = [rng.standard_normal(s) for s in shapes]
    assert_same_as_torch(torch, lambda *xs: F.concatenate(xs, dim), theirs, xs, dtype, device)


def test_one_tensor_twice(torch, rng, dtype, device):
    def theirs(x):
        return torch.concatenate([x, x])

    x = rng.standard_normal((2, 3))
    assert_same_as_torch(torch, lambda x: F.concatenate([x, x]), theirs, [x], dtype, device)


def test_gradcheck(rng):
    xs = [tinynet.tensor(rng.standard_normal((2, n)), requires_grad=True) for n in (1, 3, 2)]
    assert tinynet.gradcheck(lambda *xs: F.concatenate(xs, 1), xs)


def test_reference(rng):
    x, z = rng.standard_normal((2, 3)), rng.standard_normal((2, 2))
    y = F.concatenate((tinynet.tensor(x), tinynet.tensor(z)), 1).numpy()
    assert y.shape == (2, 5)
    for i, j in np.ndindex(y.shape):
        assert y[i, j] == (x[i, j] if j < 3 else z[i, j - 3])


def test_gradients_have_their_own_memory():
    x, z = (tinynet.tensor(np.ones(2), requires_grad=True) for _ in range(2))
    F.concatenate((x, z)).backward(np.ones(4))
    x.grad[:] = 5
    assert z.grad.tolist() == [1, 1]


def test_bad_arguments():
    x = tinynet.tensor(np.ones((2, 3)))
    message = r"concatenate: input 0 has shape \(2, 3\) but input 1 "
    with pytest.raises(ValueError, match=message + r"\(2, 4\): only the lengths along dim=0"):
        F.concatenate((x, tinynet.tensor(np.ones((2, 4)))))
    with pytest.raises(ValueError, match=message + r"\(3,\)"):
        F.concatenate((x, tinynet.tensor(np.ones(3))))
    with pytest.raises(ValueError, match="concatenate: tensors is empty"):
        F.concatenate(())
    with pytest.raises(ValueError, match="concatenate: dim must be between -2 and 1, got 2"):
        F.concatenate((x, x), 2)
    with pytest.raises(ValueError, match=r"concatenate: dim is 0, .* shape \(\) has no axes"):
        F.concatenate((tinynet.tensor(1.0),))
    with pytest.raises(TypeError, match="concatenate: input 0 is float64 but input 1 is int64"):
        F.concatenate((x, tinynet.tensor(np.ones((2, 3), np.int64))))
    with pytest.raises(TypeError, match=r"concatenate: input 1 must be a tinynet.Tensor, got"):
        F.concatenate((x, np.ones((2, 3))))
