"""How the tests compare an operation with PyTorch's."""

import numpy as np

import tinynet
from tinynet import backend

# Element-wise work cuts this shape into several blocks, the last of them short.
LARGE = (3, backend.BLOCK + 7)


def tolerance(dtype):
    """What rounding may do to results of order 1 after sums of a few hundred terms."""
    return dict(rtol=2e-5, atol=2e-5) if dtype == np.float32 else dict(rtol=1e-10, atol=1e-10)


def assert_same_as_torch(torch, ours, theirs, arrays, dtype, device="cpu", seed=0, **tol):
    """ours(*tensors) and theirs(*torch tensors) agree: value, dtype, and every gradient.

    arrays: NumPy arrays; those of floating dtype are cast to `dtype` and differentiated, with one
    random cotangent for both. theirs must return one floating tensor, as must ours.
    """
    tol = tol or tolerance(dtype)
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    xs = [tinynet.tensor(a, requires_grad=a.dtype.kind == "f", device=device) for a in arrays]
    ts = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    assert y.dtype == dtype, f"{dtype} became {y.dtype}"
    assert y.shape == tuple(t.shape)
    np.testing.assert_allclose(y.numpy(), t.detach().numpy(), **tol)
    v = np.random.default_rng(seed).standard_normal(y.shape).astype(dtype)
    y.backward(v)
    t.backward(torch.tensor(v))
    for number, (x, u) in enumerate(zip(xs, ts, strict=True)):
        if not x.requires_grad:
            continue
        if u.grad is None:
            assert x.grad is None, f"input {number} has a gradient, PyTorch's has none"
            continue
        assert x.grad.dtype == dtype
        got = tinynet.Tensor(x.grad).numpy()
        np.testing.assert_allclose(got, u.grad.numpy(), **tol, err_msg=f"gradient of input {number}")
