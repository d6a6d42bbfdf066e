import numpy as np
import pytest

import tinynet
from compare import assert_same_as_torch
from tinynet import functional as F

# alpha near 0.5, so that the term that crosses channels counts: at 1e-4 a backward pass without
# it would pass every test
STRONG = dict(alpha=0.5, beta=0.75, k=2.0)
SHAPES = [(2, 7, 3, 4), (1, 1, 2, 2), (2, 3, 1, 1), (0, 4, 2, 2), (3, 16, 20, 20)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize("how", [STRONG, dict(alpha=0.3, beta=0.6, k=1.0), {}])
def test_same_as_torch(torch, rng, dtype, device, shape, size, how):
    theirs = torch.nn.functional.local_response_norm
    assert_same_as_torch(
        torch,
        lambda x: F.local_response_norm(x, size, **how),
        lambda x: theirs(x, size, **how),
        [rng.standard_normal(shape)],
        dtype,
        device,
    )


@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize("groups", [1, 2])
def test_gradcheck(rng, size, groups):
    x = tinynet.tensor(rng.standard_normal((2, 6, 2, 2)), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.local_response_norm(x, size, groups=groups, **STRONG), x)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_loops(rng, groups):
    x = rng.standard_normal((2, 8, 2, 3))
    y = F.local_response_norm(tinynet.tensor(x), 5, groups=groups, **STRONG).numpy()
    run = 8 // groups
    for n, i, h, w in np.ndindex(x.shape):
        window = [j for j in range(8) if abs(j - i) <= 2 and j // run == i // run]
        s = 2.0 + 0.5 / 5 * sum(x[n, j, h, w] ** 2 for j in window)
        assert np.isclose(y[n, i, h, w], x[n, i, h, w] / s**0.75, rtol=1e-12)


def test_groups_are_separate_networks(rng):
    x = rng.standard_normal((2, 6, 3, 3))
    whole = F.local_response_norm(tinynet.tensor(x), 5, groups=2, **STRONG).numpy()
    halves = [F.local_response_norm(tinynet.tensor(h), 5, **STRONG).numpy() for h in np.split(x, 2, 1)]
    np.testing.assert_array_equal(whole, np.concatenate(halves, 1))


def test_bad_input_is_named():
    x = tinynet.tensor(np.zeros((1, 4, 2, 2)))
    with pytest.raises(ValueError, match="local_response_norm: size must be odd and positive, got 4"):
        F.local_response_norm(x, 4)
    with pytest.raises(ValueError, match="local_response_norm: groups=3 does not divide the 4 channels"):
        F.local_response_norm(x, 5, groups=3)
    with pytest.raises(ValueError, match=r"local_response_norm: input must be \(N, C, H, W\)"):
        F.local_response_norm(tinynet.tensor(np.zeros((4, 2))), 5)
