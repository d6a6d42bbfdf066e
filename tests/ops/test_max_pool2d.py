import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinynet
from compare import assert_same_as_torch
from ops_cases import distinct
from tinynet import functional as F
from tinynet.windows import Windows

# N, C, H, W, then the arguments
GRID = [
    ((2, 3, 13, 13), dict(kernel_size=3, stride=2)),  # AlexNet's: windows overlap
    ((1, 2, 6, 8), dict(kernel_size=2)),
    ((2, 2, 7, 9), dict(kernel_size=(3, 2), stride=(2, 3), padding=(1, 0), dilation=(1, 2))),
    ((1, 1, 1, 1), dict(kernel_size=1)),
    ((2, 1, 8, 8), dict(kernel_size=3, stride=2, padding=1, ceil_mode=True)),
    ((1, 2, 6, 6), dict(kernel_size=2, stride=3, ceil_mode=True)),
    ((1, 2, 7, 7), dict(kernel_size=4, stride=4, ceil_mode=True)),
    ((0, 2, 5, 5), dict(kernel_size=2)),
    ((6, 8, 60, 31), dict(kernel_size=3, stride=2)),  # large enough for several threads
    ((1, 1, 40, 40), dict(kernel_size=17, stride=5)),  # more than 256 pixels: winner numbers need more than a byte
]



@pytest.mark.parametrize("shape, how", GRID)
@pytest.mark.parametrize("ties", [False, True])
def test_same_as_torch(torch, rng, dtype, device, shape, how, ties):
    x = rng.integers(0, 3, shape).astype(float) if ties else distinct(rng, shape)
    theirs = torch.nn.functional.max_pool2d
    assert_same_as_torch(
        torch, lambda x: F.max_pool2d(x, **how), lambda x: theirs(x, **how), [x], dtype, device
    )
    if shape[0]:
        y, indices = F.max_pool2d(tinynet.tensor(x, device=device), **how, return_indices=True)
        t, expected = theirs(torch.tensor(x), **how, return_indices=True)
        np.testing.assert_array_equal(y.numpy(), t.numpy())
        np.testing.assert_array_equal(indices.numpy(), expected.numpy())
        assert indices.dtype == np.int64


@pytest.mark.parametrize("shape, how", GRID[:3] + GRID[8:])
def test_nan_wins_as_in_torch(torch, rng, device, shape, how):
    x = rng.choice([-np.inf, 0, 1, np.inf, np.nan], shape, p=[0.3, 0.3, 0.2, 0.1, 0.1])
    ours, theirs = tinynet.tensor(x, requires_grad=True, device=device), torch.tensor(x, requires_grad=True)
    y, indices = F.max_pool2d(ours, **how, return_indices=True)
    t, expected = torch.nn.functional.max_pool2d(theirs, **how, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), t.detach().numpy())
    np.testing.assert_array_equal(indices.numpy(), expected.numpy())
    dy = rng.integers(1, 9, t.shape).astype(float)
    y.backward(dy)
    t.backward(torch.tensor(dy))
    np.testing.assert_array_equal(tinynet.Tensor(ours.grad).numpy(), theirs.grad.numpy())


PADDED = [
    dict(kernel_size=3, stride=2, padding=1),
    dict(kernel_size=2, padding=1),
    dict(kernel_size=(5, 2), stride=(1, 2), padding=(2, 1), ceil_mode=True),
    dict(kernel_size=3, padding=1, dilation=2),
    dict(kernel_size=(3, 5), padding=(1, 2), dilation=(1, 2)),
    dict(kernel_size=(5, 3), padding=(2, 1), dilation=(2, 1)),
    dict(kernel_size=17, stride=3, padding=8),
]


@pytest.mark.parametrize("how", PADDED)
@pytest.mark.parametrize("share", [1, 0.8])
def test_minus_infinity_in_the_image_wins_over_the_padding(torch, rng, device, how, share):
    """Of a window that holds nothing else, the first pixel inside the image gets the gradient."""
    x = np.where(rng.random((2, 3, 9, 9)) < share, -np.inf, 1.0)
    ours, theirs = tinynet.tensor(x, requires_grad=True, device=device), torch.tensor(x, requires_grad=True)
    y, indices = F.max_pool2d(ours, **how, return_indices=True)
    t, expected = torch.nn.functional.max_pool2d(theirs, **how, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), t.detach().numpy())
    np.testing.assert_array_equal(indices.numpy(), expected.numpy())
    dy = rng.integers(1, 9, t.shape).astype(float)
    y.backward(dy)
    t.backward(torch.tensor(dy))
    np.testing.assert_array_equal(tinynet.Tensor(ours.grad).numpy(), theirs.grad.numpy())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_shapes_same_as_torch(torch, data):
    draw = data.draw
    two = lambda least, most: draw(st.tuples(*[st.integers(least, most)] * 2))  # noqa: E731
    (H, W), kernel, stride, dilation = two(1, 12), two(1, 5), two(1, 4), two(1, 3)
    # PyTorch allows half of the window without counting its dilation
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    ceil_mode = draw(st.booleans())
    for size, k, pad, step in zip((H, W), kernel, padding, dilation, strict=True):
        assume(size >= step * (k - 1) + 1 - pad)  # so that every window contains a pixel
    x = distinct(np.random.default_rng(0), (draw(st.integers(1, 3)), 2, H, W))
    how = dict(kernel_size=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    theirs = torch.nn.functional.max_pool2d
    assert_same_as_torch(
        torch, lambda x: F.max_pool2d(x, **how), lambda x: theirs(x, **how), [x], np.dtype("float64")
    )


@pytest.mark.parametrize("shape, how", [g for g in GRID[:7] if 0 not in g[0]])
def test_gradcheck(rng, shape, how):
    x = tinynet.tensor(distinct(rng, shape), requires_grad=True)
    assert tinynet.gradcheck(lambda x: F.max_pool2d(x, **how), x)


def test_loops_with_the_first_of_equals_winning(rng):
    x = rng.integers(0, 3, (2, 2, 7, 7)).astype(float)
    dy = rng.standard_normal((2, 2, 3, 3))
    tensor = tinynet.tensor(x, requires_grad=True)
    y = F.max_pool2d(tensor, 3, 2)
    y.backward(dy)
    expected_dx = np.zeros_like(x)
    for n, c, p, q in np.ndindex(y.shape):
        best = max(((r, s) for r in range(3) for s in range(3)), key=lambda rs: x[n, c, 2 * p + rs[0], 2 * q + rs[1]])
        h, w = 2 * p + best[0], 2 * q + best[1]
        assert y.numpy()[n, c, p, q] == x[n, c, h, w]
        expected_dx[n, c, h, w] += dy[n, c, p, q]
    np.testing.assert_allclose(tensor.grad, expected_dx, rtol=1e-12)


@pytest.mark.parametrize("size, padding, ceil_mode, border", [(55, 0, False, 0), (56, 1, False, 0), (56, 0, True, 1)])
def test_the_far_edge_is_padded_no_further_than_windows_reach(size, padding, ceil_mode, border):
    windows = Windows((3, 3), (2, 2), (padding, padding), (1, 1), ceil_mode)
    assert windows.border((size, size)) == [padding, border] * 2


def test_without_a_graph_no_winners_are_kept(rng, monkeypatch):
    seen = []
    pool = tinynet.ops.max_pool2d.pool
    monkeypatch.setattr("tinynet.ops.max_pool2d.pool", lambda x, w, want: seen.append(want) or pool(x, w, want))
    x = tinynet.tensor(distinct(rng, (1, 1, 4, 4)), requires_grad=True)
    with tinynet.no_grad():
        F.max_pool2d(x, 2)
    F.max_pool2d(x, 2)
    assert seen == [False, True]


def test_bad_input_is_named():
    x = tinynet.tensor(np.zeros((1, 1, 4, 4)))
    with pytest.raises(ValueError, match=r"max_pool2d: a window of .5, 5. .* does not fit into an image of .4, 4."):
        F.max_pool2d(x, 5)
    with pytest.raises(ValueError, match=r"max_pool2d: padding .2, 2. is more than half of a window"):
        F.max_pool2d(x, 3, padding=2)
    with pytest.raises(ValueError, match=r"max_pool2d: a window of .2, 2. .*dilation .3, 3.* sees only padding"):
        F.max_pool2d(tinynet.tensor(np.zeros((1, 1, 2, 2))), 2, 1, padding=1, dilation=3)  # rows -1 and 2
    with pytest.raises(ValueError, match=r"max_pool2d: kernel_size must be an integer of at least 1"):
        F.max_pool2d(x, 0)
