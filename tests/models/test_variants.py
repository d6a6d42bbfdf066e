"""Figure 2 with one thing changed: what each variant changes, and that columns on two devices still agree with one."""

import dataclasses
import math

import numpy as np
import pytest

import tinynet
from tinynet import explain
from tinynet import functional as F
from tinynet.models import RECIPES, VARIANTS, AlexNet
from tinynet.models.alexnet import figure_2, sizes, walk
from tinynet.models.variants import varied

FIGURE_2 = [layer.name for layer in figure_2(1000)]


def changes(variant):
    """(names that are gone, names that are new, {name: changed fields}) of a variant's layers."""
    before, after = ({layer.name: layer for layer in varied(figure_2(1000), names)} for names in ("", variant))
    fields = {
        name: {key: value for key, value in after[name]._asdict().items() if value != getattr(layer, key)}
        for name, layer in before.items() if name in after
    }  # fmt: skip
    return sorted(before.keys() - after), sorted(after.keys() - before), {k: v for k, v in fields.items() if v}


RELUS = [f"relu{i}" for i in range(1, 8)]
EXPECTED = {
    **{name: (RELUS, [f"{kind}{i}" for i in range(1, 8)], {})
       for name, kind in (("tanh", "tanh"), ("sigmoid", "sigmoid"), ("leaky-relu", "leaky_relu"))},
    "no-lrn": (["lrn1", "lrn2"], [], {}),
    "pool-2x2": ([], [], {name: {"kernel": 2} for name in ("pool1", "pool2", "pool5")}),
    "columns-apart": ([], [], {"conv3": {"grouped": True}}),
    "one-device": ([], [], {
        "conv1": {"K": 48}, "conv2": {"K": 128, "grouped": False}, "conv3": {"K": 192},
        "conv4": {"K": 192, "grouped": False}, "conv5": {"grouped": False},
        "lrn1": {"grouped": False}, "lrn2": {"grouped": False},
    }),
    "no-conv2": (["conv2", "lrn2", "relu2"], [], {}),
    **{f"no-conv{i}": ([f"conv{i}", f"relu{i}"], [], {}) for i in (3, 4, 5)},
    **{f"no-fc{i}": ([f"dropout{i}", f"fc{i}", f"relu{i}"], [], {}) for i in (6, 7)},
    "sixth-conv": ([], ["conv5_2", "relu5_2"], {}),
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_changes_what_it_says_and_nothing_else(variant):
    assert changes(variant) == EXPECTED[variant]


def test_the_sixth_convolution_lies_over_the_last_pooling_layer():
    names = [layer.name for layer in varied(figure_2(1000), "sixth-conv")]
    i = names.index("pool5")
    assert names[i : i + 4] == ["pool5", "conv5_2", "relu5_2", "flatten5"]
    (conv,) = [(C, positions) for layer, C, positions in walk(varied(figure_2(1000), "sixth-conv"), 224)
               if layer.name == "conv5_2"]  # fmt: skip
    assert conv == (256, 36)


def test_its_exchange_is_called_as_the_others_are():
    model = AlexNet(8, ["cpu"] * 4, width=0.25, image_size=67, recipe=RECIPES["he"], variant="sixth-conv")
    assert "all_gather5_2" in dict(model.layers)
    assert explain.layer_table(model).count(" all_gather: ") == 7  # conv2 to conv5_2, fc6, fc7


@pytest.mark.parametrize("variant, parameters", [
    ("", 60_965_224), ("one-device", 59_798_312),  # 59.80 million: counted from the 2012 code's configuration
    ("no-lrn,pool-2x2,tanh", 60_965_224), ("sixth-conv", 60_965_224 + 256 * 128 * 9 + 256),
])  # fmt: skip
def test_parameters_are_counted(variant, parameters):
    shapes, _ = sizes(1000, variant=variant)
    assert sum(map(math.prod, shapes.values())) == parameters


# With the paper's alpha, LRN's neighbors hardly count.
STRONG_LRN = dataclasses.replace(RECIPES["he"], lrn=RECIPES["he"].lrn | dict(alpha=50.0))


def logits(variant, devices, x):
    tinynet.manual_seed(0)
    model = AlexNet(10, devices, width=0.1, image_size=67, recipe=STRONG_LRN, dropout=0, variant=variant)
    out = model(tinynet.tensor(x))
    F.cross_entropy(out, np.arange(len(x))).backward()
    assert {name: len(parts) for name, parts in model.named_arrays()}.keys() == sizes(10, variant=variant)[0].keys()
    return out.numpy(), model.layers[0][1].parts[0].weight.grad


@pytest.mark.parametrize("variant", [*VARIANTS, "tanh,no-lrn,one-device", "sixth-conv,leaky-relu,no-fc6"])
def test_two_devices_agree_with_one(variant, rng):
    x = rng.standard_normal((3, 3, 67, 67)).astype("float32")
    one, two, plain = logits(variant, ["cpu"], x), logits(variant, ["cpu", "cpu"], x), logits("", ["cpu"], x)
    np.testing.assert_allclose(one[0], two[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(one[1][: len(two[1])], two[1], rtol=1e-3, atol=1e-6)
    assert not np.allclose(one[0], plain[0], rtol=1e-3)


def test_lrn_of_the_one_device_net_has_no_groups():
    for devices in (["cpu"], ["cpu", "cpu"]):
        layers = dict(AlexNet(10, devices, width=0.1, image_size=67, variant="one-device").layers)
        assert {part.groups for part in layers["lrn1"].parts} == {1}
    assert {part.groups for part in dict(AlexNet(10, width=0.1, image_size=67).layers)["lrn1"].parts} == {2}


@pytest.mark.parametrize("names", ["tanh,sigmoid", "leaky-relu,tanh", "no-conv5,sixth-conv", "one-device,one-device"])
def test_variants_that_contradict_each_other(names):
    first, second = names.split(",")
    with pytest.raises(ValueError, match=f"AlexNet: the variant {second} cannot follow {first}"):
        sizes(10, variant=names)


def test_an_unknown_variant_is_named():
    with pytest.raises(ValueError, match=r"AlexNet: variants are tanh, .*; got gelu"):
        AlexNet(10, width=0.1, image_size=67, variant="tanh,gelu")
