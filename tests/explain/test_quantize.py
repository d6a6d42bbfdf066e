"""Arrays as bytes: how far a value may be off, and that 0 stays 0."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_run import decoded
from tinynet.explain.quantize import packed, quantize
from tinynet.explain.terms import largest_terms


@given(st.integers(0, 2**32), st.sampled_from([1, 2]), st.sampled_from([(5,), (3, 4, 4), (2, 3, 2, 2)]),
       st.sampled_from([1e-42, 1e-12, 1.0, 1e12]), st.sampled_from([-3, -0.5, 0, 3]))
def test_a_value_is_off_by_half_a_step_at_most_and_0_by_nothing(seed, size, shape, scale, shift):
    x = ((np.random.default_rng(seed).standard_normal(shape) + shift) * scale).astype(np.float32)
    x.reshape(-1)[::3] = 0
    values, half = decoded(quantize(x, size))
    # Scales are rounded to float32: at the ends of the range that adds up to 2^-24 of it, or its smallest number.
    assert (np.abs(values - x) <= half * 1.001 + np.abs(x) * 2.0**-23 + 256**size * 1e-45).all()
    assert (values.reshape(-1)[::3] == 0).all()
    if scale >= 1e-12:
        assert (half <= np.ptp(np.append(x, 0)) / (256**size - 1)).all()


def test_maps_have_scales_of_their_own():
    x = np.float32([[[1000, 0]], [[0.001, 0]]])
    values, _ = decoded(quantize(x, 1))
    np.testing.assert_allclose(values, x, rtol=1e-6)


def test_whole_numbers_stand_for_themselves():
    numbers = np.array([[0, 7], [255, 1]])
    np.testing.assert_array_equal(decoded(packed(numbers, 1))[0], numbers)
    np.testing.assert_array_equal(decoded(packed(numbers * 256, 2))[0], numbers * 256)


@pytest.mark.parametrize("most", [1, 3, 99])
def test_the_largest_terms_and_the_rest_are_the_whole_sum(rng, most):
    w, x = rng.standard_normal((4, 6)), rng.standard_normal(6)
    numbers, weights, rest = largest_terms(w, x, most)
    assert numbers.shape == weights.shape == (4, min(most, 6))
    terms = weights * x[numbers]
    np.testing.assert_allclose(terms.sum(1) + rest, w @ x, rtol=1e-12)
    assert (np.diff(np.abs(terms), axis=1) <= 0).all()
    for row, (k, taken) in zip(np.abs(w * x), enumerate(numbers), strict=True):
        others = np.delete(row, taken)
        assert others.size == 0 or others.max() <= np.abs(terms[k]).min()
