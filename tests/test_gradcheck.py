"""Does gradcheck find what is wrong, and say so in a sentence?"""

import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet.autograd import Function


class Cube(Function):
    """x + z^3. Its backward may forget a factor, have one wrong element, or ignore z."""

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
        if self.mistake == "zero":
            dz = 0 * dy
        return dy, dz


class Softmax(Function):
    """Its backward is 3 times too large, which a cotangent of ones cannot show."""

    def forward(self, x):
        y = np.exp(x)
        y /= y.sum(-1, keepdims=True)
        self.save(y)
        return y

    def backward(self, dy):
        (y,) = self.saved
        return 3 * y * (dy - (dy * y).sum(-1, keepdims=True))


def inputs(rng, count=1):
    xs = [tinynet.tensor(rng.standard_normal((2, 3)), requires_grad=True) for _ in range(count)]
    return xs[0] if count == 1 else xs


@pytest.mark.parametrize("f", [lambda x, z: Cube()(x, z), lambda x, z: x * 2.0])  # the second does not use z
def test_right(rng, f):
    assert tinynet.gradcheck(f, inputs(rng, 2)) is True


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x, z: Cube("element")(x, z), r"cube: gradient of input 1 at index \(1, 2\)"),
        (lambda x, z: Cube("zero")(x, z), "cube: gradient of input 1 .* received 0"),
        (lambda x, z: x * x.detach(), "mul: gradient of input 0"),  # cut off by mistake
        (lambda x, z: x.detach() * 2.0, "the output does not depend on any input"),
    ],
)
def test_wrong(rng, f, message):
    with pytest.raises(tinynet.GradcheckError, match=message) as raised:
        tinynet.gradcheck(f, inputs(rng, 2))
    assert isinstance(raised.value, AssertionError)


def test_the_message_has_the_numbers(rng):
    x, z = inputs(rng, 2)
    z.data[0, 0], v = 2.0, np.random.default_rng(0).standard_normal((2, 3))
    with pytest.raises(tinynet.GradcheckError, match=r"^cube: gradient of input 1 at index \(0, 0\): ") as raised:
        tinynet.gradcheck(lambda x, z: Cube("slope")(x, z), (x, z))
    numbers = str(raised.value).partition("expected ")[2].split(", received ")
    np.testing.assert_allclose([float(n) for n in numbers], [12 * v[0, 0], 6 * v[0, 0]], rtol=1e-7)


def test_an_error_that_a_cotangent_of_ones_cannot_see(rng):
    x = inputs(rng)
    Softmax()(x).backward(np.ones((2, 3)))
    np.testing.assert_allclose(x.grad, 0, atol=1e-15)  # right, as far as ones can tell
    with pytest.raises(tinynet.GradcheckError, match="softmax: gradient of input 0") as raised:
        tinynet.gradcheck(lambda x: Softmax()(x), x)
    assert "kink" not in str(raised.value), "a plain mistake is not a kink"


def test_a_mistake_in_a_steep_function_is_not_taken_for_a_kink(rng):
    with pytest.raises(tinynet.GradcheckError, match="gradient of input 1") as raised:
        tinynet.gradcheck(lambda x, z: Cube("slope")(x, z) * 1e5, inputs(rng, 2))
    assert "kink" not in str(raised.value)


@pytest.mark.parametrize("near", [3e-7, 0.0])  # nearer to 0 than a step; at it
def test_a_kink_is_named(near):
    x = tinynet.tensor(np.array([1.0, near]), requires_grad=True)
    with pytest.raises(tinynet.GradcheckError, match=r"relu: .*index \(1,\).*is there a kink\?"):
        tinynet.gradcheck(F.relu, x)


def test_only_inputs_that_require_it_are_checked(rng):
    x = inputs(rng)
    labels, weight = tinynet.tensor([1, 2, 3]), tinynet.tensor(np.ones(3))
    assert tinynet.gradcheck(lambda x, i, w: x * i * w, (x, labels, weight))
    assert weight.grad is None


def test_without_a_tolerance_what_is_exact_passes(rng):
    assert tinynet.gradcheck(lambda x: x * 0.0, inputs(rng), atol=0, rtol=0)


def test_inputs_are_left_as_they_were(rng):
    x = inputs(rng)
    before = x.numpy().copy()
    tinynet.gradcheck(F.exp, x)
    np.testing.assert_array_equal(x.numpy(), before)
    assert F.exp(x).requires_grad


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(TypeError, match="gradcheck: input 0 must be float64, got float32"):
        tinynet.gradcheck(F.exp, tinynet.tensor([1.0], requires_grad=True))
    with pytest.raises(ValueError, match="gradcheck: no input has requires_grad=True"):
        tinynet.gradcheck(F.exp, tinynet.tensor(np.ones(2)))
