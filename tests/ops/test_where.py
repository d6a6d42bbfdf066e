import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

SHAPES = [
    ((), (), ()),
    ((2, 3), (2, 3), (2, 3)),
    ((2, 3), (3,), (2, 1)),
    ((3,), (2, 1), ()),
    ((2, 1), (1, 3), (4, 1, 1)),
    ((0, 3), (3,), (1, 1)),
]


@pytest.mark.parametrize("shapes", SHAPES)
def test_same_as_torch(torch, rng, dtype, device, shapes):
    condition, x, z = (np.asarray(rng.standard_normal(s)) for s in shapes)
    ours, theirs = tinynet.tensor(condition > 0, device=device), torch.tensor(condition > 0)
    for f, g, arrays in (
        (lambda x, z: F.where(ours, x, z), lambda x, z: torch.where(theirs, x, z), [x, z]),
        (lambda x: F.where(ours, x, 2), lambda x: torch.where(theirs, x, 2.0), [x]),
        (lambda x: F.where(ours, 0.5, x), lambda x: torch.where(theirs, 0.5, x), [x]),
    ):
        assert_same_as_torch(torch, f, g, arrays, dtype, device)


def test_the_condition_may_be_an_array():
    y = F.where(np.array([True, False]), tinynet.tensor([1.0, 2.0]), 0)
    assert y.numpy().tolist() == [1, 0]


def test_what_was_not_chosen_cannot_spoil_the_gradient():
    x = tinynet.tensor([0.0, 1.0], requires_grad=True)
    y = F.where(x > 0, x, 0.0)
    y.backward([np.inf, 1])
    assert x.grad.tolist() == [0, 1]


def test_gradcheck(rng):
    condition = rng.random((2, 3)) > 0.5
    x = tinynet.tensor(rng.standard_normal((2, 3)), requires_grad=True)
    z = tinynet.tensor(rng.standard_normal((4, 1, 3)), requires_grad=True)
    assert tinynet.gradcheck(lambda x, z: F.where(condition, x, z), (x, z))


def test_reference(rng):
    condition, x, z = rng.random((2, 3)) > 0.5, rng.standard_normal((2, 3)), rng.standard_normal(3)
    y = F.where(condition, tinynet.tensor(x), tinynet.tensor(z)).numpy()
    for i, j in np.ndindex(2, 3):
        assert y[i, j] == (x[i, j] if condition[i, j] else z[j])


def test_bad_arguments():
    x, yes = tinynet.tensor(np.ones((2, 3))), np.ones((2, 3), bool)
    with pytest.raises(ValueError, match=r"where: input has shape \(2, 3\) and other \(4,\)"):
        F.where(yes, x, tinynet.tensor(np.ones(4)))
    with pytest.raises(ValueError, match=r"where: condition has shape \(2,\) and input \(2, 3\)"):
        F.where(yes[:, 0], x, 0)
    with pytest.raises(ValueError, match=r"where: condition has shape \(2,\) and other \(2, 3\)"):
        F.where(yes[:, 0], 0, x)
    with pytest.raises(TypeError, match="where: condition must be bool, got float64"):
        F.where(x, x, x)
    with pytest.raises(TypeError, match=r"where: condition must be a tinynet.Tensor, got bool"):
        F.where(True, x, x)
    with pytest.raises(TypeError, match="where: other is float32 but input is float64"):
        F.where(yes, x, tinynet.tensor(np.ones((2, 3), np.float32)))
    with pytest.raises(TypeError, match=r"where: input must be a tinynet.Tensor, got int"):
        F.where(yes, 1, 2)
