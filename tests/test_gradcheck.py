"""Does gradcheck find what is wrong, and say so in a sentence?"""

import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet.autograd import Function


class Cube(Function):
    """x^3 with a backward that forgets the square, or has one element wrong."""

    def __init__(self, mistake=None):
        self.mistake = mistake

    def forward(self, x, z):
        self.save(x, z)
        return x + z**3

    def backward(self, dy):
        _, z = self.saved
        dz = dy * 3 * z * z
        if self.mistake == "slope":
            dz = dy * 3 * z
        if self.mistake == "element":
            dz[1, 2] *= 1.001
        return dy, dz


def inputs(rng, count=1):
    xs = [tinynet.tensor(rng.standard_normal((2, 3)), requires_grad=True) for _ in range(count)]
    return xs[0] if count == 1 else xs


def test_right(rng):
    assert tinynet.gradcheck(lambda x, z: Cube()(x, z), inputs(rng, 2)) is True


def test_wrong_slope(rng):
    x, z = inputs(rng, 2)
    z.data[0, 0], v = 2.0, np.random.default_rng(0).standard_normal((2, 3))
    with pytest.raises(tinynet.GradcheckError) as caught:
        tinynet.gradcheck(lambda x, z: Cube("slope")(x, z), (x, z))
    expected, received = 12 * v[0, 0], 6 * v[0, 0]
    words = str(caught.value)
    assert words.startswith("cube: gradient of input 1 at index (0, 0): expected ")
    numbers = words.partition("expected ")[2].replace(", received", "").split()
    np.testing.assert_allclose([float(n) for n in numbers], [expected, received], rtol=1e-7)
    assert isinstance(caught.value, AssertionError)


def test_one_wrong_element(rng):
    with pytest.raises(tinynet.GradcheckError, match=r"gradient of input 1 at index \(1, 2\)"):
        tinynet.gradcheck(lambda x, z: Cube("element")(x, z), inputs(rng, 2))


class Softmax(Function):
    """With a right backward, times 3: which nobody sees who sends back ones."""

    def forward(self, x):
        y = np.exp(x)
        y /= y.sum(-1, keepdims=True)
        self.save(y)
        return y

    def backward(self, dy):
        (y,) = self.saved
        return 3 * y * (dy - (dy * y).sum(-1, keepdims=True))


def test_an_error_that_a_cotangent_of_ones_cannot_see(rng):
    x = inputs(rng)
    Softmax()(x).backward(np.ones((2, 3)))
    np.testing.assert_allclose(x.grad, 0, atol=1e-15)  # right, as far as ones can tell
    with pytest.raises(tinynet.GradcheckError, match="softmax: gradient of input 0"):
        tinynet.gradcheck(lambda x: Softmax()(x), x)


class Half(Function):
    """A backward that forgets one of its two inputs' gradients."""

    def forward(self, x, z):
        return x * 1.0 + z * 0.5

    def backward(self, dy):
        return dy, 0 * dy


def test_a_gradient_of_zero_is_checked_too(rng):
    with pytest.raises(tinynet.GradcheckError, match=r"half: gradient of input 1 .* received 0"):
        tinynet.gradcheck(lambda x, z: Half()(x, z), inputs(rng, 2))


def test_an_input_that_is_not_used(rng):
    assert tinynet.gradcheck(lambda x, z: x * 2.0, inputs(rng, 2))


def test_an_input_cut_off_by_mistake(rng):
    with pytest.raises(tinynet.GradcheckError, match=r"mul: gradient of input 0"):
        tinynet.gradcheck(lambda x: x * x.detach(), inputs(rng))


def test_an_output_without_history(rng):
    with pytest.raises(tinynet.GradcheckError, match="the output does not depend on any input"):
        tinynet.gradcheck(lambda x: x.detach() * 2.0, inputs(rng))


def test_only_inputs_that_require_it_are_checked(rng):
    x = inputs(rng)
    labels, weight = tinynet.tensor([1, 2, 3]), tinynet.tensor(np.ones(3))
    assert tinynet.gradcheck(lambda x, i, w: x * i * w, (x, labels, weight))
    assert weight.grad is None


@pytest.mark.parametrize("near", [3e-7, 0.0])  # nearer to 0 than a step; at it
def test_a_kink_is_named(near):
    x = tinynet.tensor(np.array([1.0, near]), requires_grad=True)
    with pytest.raises(tinynet.GradcheckError, match=r"relu: .*index \(1,\).*is there a kink\?"):
        tinynet.gradcheck(F.relu, x)


def test_a_plain_mistake_is_not_called_a_kink(rng):
    with pytest.raises(tinynet.GradcheckError) as caught:
        tinynet.gradcheck(lambda x: Softmax()(x), inputs(rng))
    assert "kink" not in str(caught.value)


def test_inputs_are_left_as_they_were(rng):
    x = inputs(rng)
    before = x.numpy().copy()
    tinynet.gradcheck(F.exp, x)
    np.testing.assert_array_equal(x.numpy(), before)
    assert F.exp(x).requires_grad


def test_float32_is_refused():
    x = tinynet.tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="gradcheck: input 0 must be float64, got float32"):
        tinynet.gradcheck(F.exp, x)


def test_nothing_to_check():
    with pytest.raises(ValueError, match="gradcheck: no input has requires_grad=True"):
        tinynet.gradcheck(F.exp, tinynet.tensor(np.ones(2)))
