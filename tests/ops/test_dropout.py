import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet import nn
from tinynet.ops.dropout import MaskSlice


def test_kept_values_are_scaled_and_gradients_go_the_same_way(rng, dtype, device):
    x = tinynet.tensor(rng.standard_normal((200, 300)).astype(dtype), requires_grad=True, device=device)
    y = F.dropout(x, 0.3)
    assert y.dtype == dtype
    kept = y.numpy() != 0
    np.testing.assert_allclose(y.numpy(), np.where(kept, x.numpy() / 0.7, 0), rtol=1e-6)
    v = rng.standard_normal(x.shape).astype(dtype)
    y.backward(v)
    np.testing.assert_allclose(tinynet.Tensor(x.grad).numpy(), np.where(kept, v / 0.7, 0), rtol=1e-6)
    # 60,000 coins: the share kept has sd 0.0019
    assert abs(kept.mean() - 0.7) < 0.01


def test_gradcheck_with_the_same_coins(rng):
    x = tinynet.tensor(rng.standard_normal((4, 5)), requires_grad=True)

    def with_fixed_coins(x):
        tinynet.manual_seed(3)
        return F.dropout(x, 0.4)

    assert tinynet.gradcheck(with_fixed_coins, x)


def test_seed_decides():
    x = tinynet.tensor(np.ones((50, 50)))
    draws = []
    for seed in (1, 1, 2):
        tinynet.manual_seed(seed)
        draws.append(F.dropout(x).numpy())
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()
    assert (F.dropout(x).numpy() != draws[2]).any(), "the stream goes on"


def test_evaluation_and_extremes(rng):
    x = tinynet.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    assert F.dropout(x, training=False) is x
    assert F.dropout(x, p=0) is x
    y = F.dropout(x, p=1)
    assert not y.numpy().any()
    y.backward(np.ones(y.shape))
    assert not x.grad.any()


def test_a_part_gets_its_part_of_the_mask(rng, device):
    """As a device has columns of a wider activation, and a rank some images of a larger batch."""
    x = 1 + rng.random((6, 4, 5)).astype("float32")

    def dropped(part, **place):
        return F.dropout(tinynet.tensor(part, device=device), 0.5, mask=MaskSlice(7, **place)).numpy()

    whole = dropped(x)
    assert 0.2 < (whole == 0).mean() < 0.8
    np.testing.assert_array_equal(dropped(x[2:5], first_row=2), whole[2:5])
    np.testing.assert_array_equal(dropped(x[:, 1:3], columns=20, first_column=5), whole[:, 1:3])
    np.testing.assert_array_equal(dropped(x[4:, 3:], columns=20, first_column=15, first_row=4), whole[4:, 3:])
    assert dropped(x[:0], first_row=3).shape == (0, 4, 5)
    with pytest.raises(ValueError, match=r"dropout: 10 columns from column 15 on, in rows of 20 from row 0 on, do not"):
        dropped(x[:, 1:3], columns=20, first_column=15)


def test_the_layer_knows_its_first_image(rng):
    x = tinynet.tensor(1 + rng.random((6, 5)))
    layer, draws = nn.Dropout(0.5), []
    for first in (0, 2):
        tinynet.manual_seed(1)
        layer.first_row = first
        draws.append(layer(x[first:]).numpy())
    np.testing.assert_array_equal(draws[1], draws[0][2:])


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_bad_p_is_named(p):
    with pytest.raises(ValueError, match=f"dropout: p must be from 0 to 1, got {p}"):
        F.dropout(tinynet.tensor([1.0]), p)
