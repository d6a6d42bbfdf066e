"""What the tests of sum, mean, var, max and min have in common."""

import numpy as np

import tinynet

# (shape, dim): every axis alone, several, all, counted from either end.
CASES = [
    ((), None),
    ((4,), None),
    ((4,), 0),
    ((4,), -1),
    ((2, 3), None),
    ((2, 3), 0),
    ((2, 3), 1),
    ((2, 3), (0,)),
    ((2, 3), (1, 0)),
    ((2, 3, 4), 1),
    ((2, 3, 4), -2),
    ((2, 3, 4), (0, -1)),
    ((2, 3, 4), (0, 1, 2)),
    ((1, 3, 2), (0, 2)),
]


def distinct(rng, shape):
    """No two elements equal or near: a maximum has no slope at a tie."""
    x = np.arange(np.prod(shape, dtype=int)) * 0.37 - 1.0
    return np.asarray(rng.permutation(x).reshape(shape))


def assert_reference(fn, loop, x, dim):
    """fn over the axes dim of x equals loop, called with the elements behind each result."""
    y = fn(tinynet.tensor(x), dim).numpy()
    axes = {d % x.ndim for d in (dim if isinstance(dim, tuple) else (dim,))}
    groups = {}
    for index in np.ndindex(x.shape):
        rest = tuple(i for axis, i in enumerate(index) if axis not in axes)
        groups.setdefault(rest, []).append(float(x[index]))
    assert y.size == len(groups)
    for index, elements in groups.items():
        np.testing.assert_allclose(y[index], loop(elements), rtol=1e-12)
