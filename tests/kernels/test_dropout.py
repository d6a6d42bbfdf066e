"""dropout.cu against NumPy's own Philox, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_checks import fetch, many_examples, put, where_kernels_run
from tinynet import kernels

KEYS = [0, 1, 12345678901234567890, 2**64 - 1]


def numpy_uniforms(n, key):
    return np.random.Generator(np.random.Philox(key=key)).random(n, dtype="float32")


def dropout(device, x, *args, **where):
    return fetch(kernels.dropout(*put(device, x), *args, **where))[0]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 1000, 100_003])  # the last one is divided among several threads
def test_uniforms_on_the_cpu(n, key):
    np.testing.assert_array_equal(kernels.uniforms((n,), key), numpy_uniforms(n, key))


@pytest.mark.parametrize("key", KEYS)
@where_kernels_run
def test_every_bit_of_a_uniform(device, key):
    """An element of 1 is kept if p is at most its uniform, so that 24 bisections with p find each uniform."""
    found = np.zeros(20)
    for bit in 0.5 ** np.arange(1, 25):
        for p in np.unique(found + bit):
            here = found + bit == p
            found[here] += bit * (dropout(device, np.ones(20, "float32"), p, key)[here] > 0)
    np.testing.assert_array_equal(found.astype("float32"), numpy_uniforms(20, key))


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 2047, 2048, 2049, 100_003])
@where_kernels_run
def test_dropout(rng, dtype, device, n):
    x = rng.standard_normal(n).astype(dtype)
    for p in (0.3, 0.5, 0.99):
        y = dropout(device, x, p, 7)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, np.where(numpy_uniforms(n, 7) >= p, x * dtype.type(1 / (1 - p)), 0))


@where_kernels_run
def test_p_is_compared_in_float32_as_in_numpy(device):
    uniforms = numpy_uniforms(64, 3)
    for p in (float(uniforms[5]), float(np.nextafter(uniforms[5], np.float32(1))), float(uniforms[5]) + 1e-12):
        np.testing.assert_array_equal(dropout(device, np.ones(64, "float32"), p, 3) > 0, uniforms >= p)


@where_kernels_run
def test_extremes(device):
    x = np.array([1, np.nan, np.inf, -2] * 5, "float32")
    np.testing.assert_array_equal(dropout(device, x, 0, 1), x)
    assert not dropout(device, x, 1, 1).any()


@many_examples
@given(data=st.data())
@where_kernels_run
def test_columns_of_a_wider_activation(device, data):
    """A device that holds columns first ... first + length - 1 draws their uniforms."""
    draw = data.draw
    rows, length = draw(st.integers(1, 9)), draw(st.integers(1, 40))
    first = draw(st.integers(0, 40))
    whole = first + length + draw(st.integers(0, 20))
    expected = numpy_uniforms(rows * whole, 5).reshape(rows, whole)[:, first : first + length]
    where = dict(row_length=length, whole_row_length=whole, first_column=first)
    np.testing.assert_array_equal(kernels.uniforms((rows, length), 5, **where), expected)
    y = dropout(device, np.ones((rows, length), "float32"), 0.5, 5, **where)
    np.testing.assert_array_equal(y > 0, expected >= 0.5)


@where_kernels_run
def test_indices_beyond_32_bits(device):
    where = dict(row_length=50, whole_row_length=2**40 + 3, first_column=2**39 + 1)
    uniforms = kernels.uniforms((2, 50), 5, **where)
    for row, start in enumerate((2**39 + 1, 2**40 + 3 + 2**39 + 1)):
        philox = np.random.Philox(key=5).advance(start // 8)
        expected = np.random.Generator(philox).random(60, "float32")[start % 8 :][:50]
        np.testing.assert_array_equal(uniforms[row], expected)
    y = dropout(device, np.ones((2, 50), "float32"), 0.5, 5, **where)
    np.testing.assert_array_equal(y > 0, uniforms >= 0.5)


@pytest.mark.parametrize("where", [(5,), (4, 3), (4, 10, 7), (4, 10, -1), (0,)])
def test_columns_that_do_not_fit_are_named(where):
    with pytest.raises(ValueError, match="do not make up an array of 12 elements"):
        kernels.uniforms((3, 4), 0, *where)
