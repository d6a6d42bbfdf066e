"""What a unit sees, by the recurrence and by the gradient of its output by the image."""

import numpy as np
import pytest

import tinynet
from tinynet.explain import receptive_field
from tinynet.explain.receptive_field import cut_out
from tinynet.models import RECIPES, AlexNet


def test_the_fields_of_figure_2():
    """By hand: conv2 adds 4 windows of pool1's 19 pixels, 8 apart: 19 + 4 * 8 = 51; and so on."""
    model = AlexNet(2, width=1 / 24, image_size=63)
    fields = {"conv1": (11, 4, -2), "relu1": (11, 4, -2), "lrn1": (11, 4, -2), "pool1": (19, 8, -2),
              "conv2": (51, 8, -18), "pool2": (67, 16, -18), "conv3": (99, 16, -34), "conv4": (131, 16, -50),
              "conv5": (163, 16, -66), "pool5": (195, 32, -66)}  # fmt: skip
    assert {layer: receptive_field(model, layer) for layer in fields} == fields


@pytest.mark.parametrize("layer", ["fc6", "flatten5", "conv9"])
def test_a_layer_whose_units_have_no_place_is_refused(layer):
    with pytest.raises(ValueError, match=rf"layers are conv1, relu1, .*, pool5; got {layer}"):
        receptive_field(AlexNet(2, width=1 / 24, image_size=63), layer)


def pixels_that_matter(model, layer, unit, rng):
    """(size, size), whether the gradient of a channel's output at `unit` reaches a pixel in any of some random images.

    Leaky ReLUs pass it on everywhere. Of a pooling window it reaches one pixel in an image: hence several images.
    """
    size, seen = model.image_size, {}
    images = tinynet.tensor(rng.standard_normal((24, 3, size, size), np.float32), requires_grad=True)
    model(images, lambda name, xs: seen.update({name: xs}))
    y = seen[layer][0]
    cotangent = np.zeros(y.shape, np.float32)
    cotangent[:, :, unit[0], unit[1]] = rng.standard_normal(y.shape[:2])
    y.backward(cotangent)
    return (images.grad != 0).any((0, 1))


CASES = [
    ("leaky-relu", "conv1", (0, 3)), ("leaky-relu", "pool1", (6, 2)), ("leaky-relu", "conv2", (3, 9)),
    ("leaky-relu", "conv3", (4, 0)), ("leaky-relu", "conv5", (4, 4)), ("leaky-relu,pool-2x2", "conv4", (0, 3)),
    ("leaky-relu,no-conv3", "conv5", (5, 2)), ("leaky-relu,sixth-conv", "pool2", (1, 6)),
]  # fmt: skip


@pytest.mark.parametrize("variant, layer, unit", CASES)
@pytest.mark.parametrize("devices", [["cpu"], ["cpu", "cpu"]])
def test_all_pixels_inside_can_matter_and_none_outside(rng, variant, layer, unit, devices):
    tinynet.manual_seed(1)
    model = AlexNet(2, devices, width=1 / 6, image_size=160, recipe=RECIPES["he"], variant=variant).eval()
    size, stride, offset = receptive_field(model, layer)
    inside = np.zeros((160, 160), bool)
    rows, columns = (slice(max(offset + at * stride, 0), max(offset + at * stride + size, 0)) for at in unit)
    inside[rows, columns] = True
    np.testing.assert_array_equal(pixels_that_matter(model, layer, unit, rng), inside)


def test_a_field_is_cut_out_where_it_lies(rng):
    picture = rng.integers(0, 255, (20, 20, 3), np.uint8)  # never white
    np.testing.assert_array_equal(cut_out(picture, (5, 4, -2), 2, 1), picture[6:11, 2:7])
    corner = cut_out(picture, (5, 4, -2), 0, 5)  # rows -2 to 2, columns 18 to 22
    np.testing.assert_array_equal(corner[2:, :2], picture[:3, 18:])
    assert (corner[:2] == 255).all() and (corner[:, 2:] == 255).all()
    larger = cut_out(picture, (30, 8, -14), 0, 1)  # rows to 15, columns all
    np.testing.assert_array_equal(larger[:16], picture[:16])
    assert (larger[16:] == 255).all()
