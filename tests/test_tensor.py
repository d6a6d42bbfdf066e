"""tinynet.tensor(): what it takes, and what it refuses."""

import numpy as np
import pytest

import tinynet
from tinynet import functional as F


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize("kind", [np.matrix, Subclass])
def test_a_subclass_becomes_a_plain_array(kind):
    data = np.array([[1.0, 2.0], [3.0, 4.0]]).view(kind)
    x = tinynet.tensor(data)
    assert type(x.data) is np.ndarray
    np.testing.assert_array_equal((x * x).numpy(), np.asarray(data) ** 2)
    np.testing.assert_array_equal((x * data).numpy(), np.asarray(data) ** 2)
    indices = np.zeros((2, 2), int).view(kind)
    scores = np.random.default_rng(0).standard_normal((2, 3, 2))
    losses = [F.cross_entropy(tinynet.tensor(scores), t, reduction="none") for t in (indices, np.asarray(indices))]
    np.testing.assert_array_equal(losses[0].numpy(), losses[1].numpy())
    assert type(losses[0].data) is np.ndarray
    assert x[indices].shape == (2, 2, 2)


def test_bytes_in_the_other_order():
    x = tinynet.tensor(np.array([1, 2], ">f4"), requires_grad=True)
    assert x.dtype == np.float32
    assert tinynet.tensor([1], dtype=">i4").dtype == np.int32


def test_a_mapped_file(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(3,))
    assert type(tinynet.tensor(mapped).data) is np.ndarray


def test_repr():
    x = tinynet.tensor([1.0, 2.5], requires_grad=True)
    assert repr(x) == "tensor([1. , 2.5], dtype=float32, requires_grad=True)"
    assert repr(x.detach()) == "tensor([1. , 2.5], dtype=float32)"
    assert repr(tinynet.tensor([1], device="emu:1")) == "tensor([1], dtype=int64, device='emu:1')"


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_inputs_on_two_devices_are_refused(dtype):
    x, z = (tinynet.tensor([1, 2], dtype=dtype, device=device) for device in ("cpu", "emu:0"))
    with pytest.raises(ValueError, match=r"^add: other is on emu:0 but input on cpu; move one with .to\(device\)$"):
        x + z


MASKED = np.ma.masked_less([1.0, -1.0], 0)
x = tinynet.tensor([1.0, 2.0])
BAD = [
    (lambda: tinynet.tensor(MASKED), TypeError, "tensor: data is a MaskedArray, .* fill"),
    (lambda: x * MASKED, TypeError, "mul: other is a MaskedArray"),
    (lambda: MASKED - x, TypeError, "sub: input is a MaskedArray"),
    (lambda: F.where(MASKED > 0, x, x), TypeError, "where: condition is a MaskedArray"),
    (lambda: x[np.ma.array([0, 1])], TypeError, "getitem: an index is a MaskedArray"),
    (lambda: F.cross_entropy(x, np.ma.array(0)), TypeError, "cross_entropy: target is a MaskedArray"),
    (lambda: F.cross_entropy(x, MASKED), TypeError, "cross_entropy: target is a MaskedArray"),
    (lambda: F.cross_entropy(x, np.array(0), MASKED), TypeError, "cross_entropy: weight is a MaskedArray"),
    (lambda: x + np.array([1j]), TypeError, "add: other must be float32, float64, integer or bool, got complex128"),
    (lambda: tinynet.tensor([[1], [1, 2]]), ValueError, "tensor: data .*inhomogeneous"),
    (lambda: tinynet.tensor(None), TypeError, "tensor: data must be .* got object"),
    (lambda: tinynet.tensor(1.0, dtype="short float"), TypeError, "tensor: dtype must be .* got 'short float'"),
    (lambda: tinynet.tensor(1.0, dtype=np.float16), TypeError, "tensor: dtype must be .* got .*float16"),
    (lambda: tinynet.tensor(1.0, device=0), ValueError, "tensor: device must be .* got 0"),
    (lambda: tinynet.tensor(1.0, np.float32), TypeError, "tensor: requires_grad must be True or False, got type"),
]


@pytest.mark.parametrize("bad, error, message", BAD)
def test_what_is_refused(bad, error, message):
    with pytest.raises(error, match=f"^{message}"):
        bad()


def test_a_tensor_of_another_library_is_refused(torch):
    with pytest.raises(TypeError, match=r"^tensor: data must be a number, nested lists or an array, got Tensor"):
        tinynet.tensor(torch.ones(2))


def test_a_tensor_too_large_to_print_shows_its_shape():
    assert repr(tinynet.tensor(np.zeros((2, 2), np.float32))) == "tensor([[0., 0.],\n        [0., 0.]], dtype=float32)"
    large = repr(tinynet.tensor(np.zeros((64, 3, 11, 11), np.float32), requires_grad=True))
    assert large.endswith(", shape=(64, 3, 11, 11), dtype=float32, requires_grad=True)")
