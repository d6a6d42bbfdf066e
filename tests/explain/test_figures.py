"""What the figures of a run are drawn from, each against a computation of its own; and that they are drawn."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import tinynet
from tinynet import data, explain
from tinynet.explain import figures
from tinynet.explain.confusion import confusion_matrix, most_confused, predictions, worst_mistakes
from tinynet.explain.norms import dead_share, layer_norms
from tinynet.explain.patches import conspicuous, exciting_patches, responses
from tinynet.explain.receptive_field import cut_out, receptive_field
from tinynet.models import RECIPES, AlexNet
from toy_images import STRANGE_NAMES

SIZE, SIDE = 63, 72
TO_INPUT = data.Compose([data.CenterCrop(SIZE), data.Normalize(127.5, 58.0), data.to_chw])


def network(devices=("cpu",), variant="", outputs=3):
    tinynet.manual_seed(1)
    return AlexNet(outputs, devices, width=1 / 12, image_size=SIZE, recipe=RECIPES["he"], variant=variant)


def images(n=20, classes=3):
    pixels = np.random.default_rng(2).integers(0, 256, (n, SIDE, SIDE, 3), np.uint8)
    return data.ArrayImages(pixels, np.arange(n) % classes, [f"class {i}" for i in range(classes)])


def all_of(model, layer, some):
    """(N, ...) all outputs of a layer, unit by unit."""
    return explain.features(model, some, TO_INPUT, SIDE, len(some), layer)[1]


# ------------------------------------------------------------------------------------------ confusion


def test_rows_are_what_is_and_columns_what_was_said():
    counts = confusion_matrix(np.array([0, 0, 1, 2, 0]), np.array([1, 1, 1, 0, 0]), 4)
    assert counts.tolist() == [[1, 2, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_all_classes_that_occur_are_shown_or_the_most_confused():
    counts = np.diag([5, 0, 5, 5, 5, 0])
    counts[2, 5] = 1
    assert most_confused(counts, 5) == [0, 2, 3, 4, 5]  # nothing is class 5, but it was said
    assert most_confused(counts, 2) == [2, 5]
    counts[4, 0] = 2
    assert most_confused(counts, 2) == [0, 4]
    assert most_confused(counts, 4) == [0, 2, 4, 5]


def test_the_worst_mistakes_are_those_it_was_surest_of():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    assert worst_mistakes(np.array([1, 1, 1, 0]), probabilities, 9) == [0, 3, 2]
    assert worst_mistakes(np.array([1, 1, 1, 0]), probabilities, 2) == [0, 3]
    assert worst_mistakes(np.array([0, 1, 0, 1]), probabilities, 9) == []


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu")])
def test_predictions_are_the_networks_probabilities(devices):
    model, some = network(devices), images(5)
    numbers, probabilities = predictions(model, some, TO_INPUT, SIDE, 2)
    assert numbers.tolist() == [0, 1, 2, 3, 4]
    batch = np.stack([TO_INPUT(some.image(i, SIDE)) for i in range(5)])
    logits = model.eval()(tinynet.tensor(batch)).numpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)


# ------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize("variant", ["", "tanh,no-lrn"])
def test_norms_of_the_last_layers_by_hand(variant):
    """fc8's gradient is (probabilities - one-hot).T @ its inputs, divided by the images."""
    model, some = network(variant=variant), images()
    model.train()
    for parameter in model.parameters():
        parameter.grad = np.ones_like(parameter.data)  # left from before; it does not count
    batch = np.stack([TO_INPUT(some.image(i, SIDE)) for i in range(20)])
    norms = layer_norms(model, batch, some.labels)
    assert list(norms) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    hidden, logits = all_of(model, model.last_hidden, some), all_of(model, "fc8", some)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gradient = (p - np.eye(3)[some.labels]).T @ hidden / 20
    np.testing.assert_allclose(norms["fc8"].gradient, np.sqrt((gradient**2).sum()), rtol=1e-4)
    np.testing.assert_allclose(norms["fc8"].output, np.sqrt((logits**2).mean()), rtol=1e-5)
    np.testing.assert_allclose(norms["fc7"].output, np.sqrt((hidden**2).mean()), rtol=1e-5)
    np.testing.assert_allclose(norms["fc8"].weight, np.sqrt((model.fc8.parts[0].weight.numpy() ** 2).sum()), rtol=1e-5)


def test_two_devices_have_the_norms_and_dead_relus_of_one():
    some = images()
    batch = np.stack([TO_INPUT(some.image(i, SIDE)) for i in range(20)])
    one, two = (network(devices) for devices in (("cpu",), ("cpu", "cpu")))
    norms = [np.array(list(layer_norms(model, batch, some.labels).values())) for model in (one, two)]
    np.testing.assert_allclose(*norms, rtol=1e-3)
    (shares, _), (of_two, _) = (dead_share(model, some, TO_INPUT, SIDE) for model in (one, two))
    assert shares == pytest.approx(of_two, abs=0.01)  # a rounding may tip a ReLU


def test_a_relu_is_dead_that_is_0_for_all_images():
    model, some = network(variant="sixth-conv"), images(70)  # two batches
    model.conv3.parts[0].bias.data[: len(model.conv3.parts[0].bias.data) // 2] = -1e3
    shares, count = dead_share(model, some, TO_INPUT, SIDE)
    assert count == 70
    assert list(shares) == ["conv1", "conv2", "conv3", "conv4", "conv5", "conv5_2", "fc6", "fc7"]
    for layer, share in shares.items():
        dead = (all_of(model, f"relu{layer.lstrip('convf')}", some) == 0).all(0)
        assert share == pytest.approx(dead.mean())
    assert 0.5 <= shares["conv3"] < 1


def test_what_is_no_relu_has_no_dead_ones():
    assert dead_share(network(variant="leaky-relu"), images(3), TO_INPUT, SIDE) == ({}, 3)


# ------------------------------------------------------------------------------------------ patches


def test_patches_are_where_a_channel_is_largest():
    model, some = network(), images(70)  # two batches
    indices, layers = responses(model, some, TO_INPUT, SIDE, 70, 6)
    found, count = exciting_patches(model, some, TO_INPUT, SIDE, 70)
    assert indices == list(range(70)) and count == 70
    assert list(layers) == list(found) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    crop = data.CenterCrop(SIZE)
    for layer, P in (("conv1", 15), ("conv2", 7), ("conv4", 3)):
        y = all_of(model, layer, some).reshape(70, -1, P, P)
        size, channels = found[layer]
        assert size == receptive_field(model, layer)[0] and len(channels) == 4
        best, std = np.sort(y.max((2, 3)), 0)[-6:].mean(0), y.std((0, 2, 3), dtype=np.float64)
        np.testing.assert_allclose(layers[layer].spread, (best - y.mean((0, 2, 3), dtype=np.float64)) / std, rtol=1e-4)
        assert int(layers[layer].spread.argmax()) == next(iter(channels))
        for k, patches in channels.items():
            for n, patch in zip(np.argsort(-y[:, k].max((1, 2)))[:6], patches, strict=True):
                p, q = np.unravel_index(y[n, k].argmax(), (P, P))
                expected = cut_out(crop(some.image(int(n), SIDE)), receptive_field(model, layer), int(p), int(q))
                np.testing.assert_array_equal(patch, expected)


def test_one_device_and_two_find_the_same_patches():
    (one, _), (two, _) = (exciting_patches(network(d), images(), TO_INPUT, SIDE) for d in (["cpu"], ["cpu"] * 2))
    for layer, (size, channels) in one.items():
        assert (size, list(channels)) == (two[layer][0], list(two[layer][1]))
        np.testing.assert_array_equal([*channels.values()], [*two[layer][1].values()])


def test_channels_stand_out_and_differ_in_what_they_like():
    spread, favorites = np.array([5.0, 9, 8, 1, 7]), np.array([0, 2, 2, 1, 2])
    assert conspicuous(spread, favorites, 2) == [1, 0]
    assert conspicuous(spread, favorites, 4) == [1, 0, 3, 2]
    assert conspicuous(spread, favorites, 9) == [1, 0, 3, 2, 4]


# ------------------------------------------------------------------------------------------ drawing


def draw(folder, model, some, variant=""):
    options = SimpleNamespace(image_size=SIZE, width=1 / 12, recipe="he", variant=variant, lr=0.01, batch_size=8)
    loaders = SimpleNamespace(plain=TO_INPUT, train=data.DataLoader(some, 8, TO_INPUT, side=SIDE),
                              val={"center crop": data.DataLoader(some, 8, TO_INPUT, side=SIDE)})
    loaders.train.epoch = 3
    row = dict(step=1, epoch=0, lr=0.1, loss=1.0, top1=0.5, top5=1.0, val_loss=1.0, val_top1=0.5, val_top5=1.0)
    figures.draw_figures(folder, options, model, loaders, SimpleNamespace(rows=[row]), explain.FilterHistory(model))


@pytest.mark.parametrize("variant, classes, outputs, n", [
    ("", 2, 2, 2), ("tanh,no-conv3,no-fc7", 3, 3, 9), ("sixth-conv,pool-2x2", 30, 1000, 30),
])  # fmt: skip
def test_all_figures_of_a_run_are_drawn(tmp_path, variant, classes, outputs, n):
    draw(tmp_path, network(("cpu", "cpu"), variant, outputs), images(n, classes), variant)
    assert {path.name for path in tmp_path.iterdir()} == set(figures.FIGURES)
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            assert min(picture.size) > 100
            assert len(set(picture.convert("L").tobytes())) > 10, f"{path.name} is blank"


def texts(figure):
    return [figure.get_suptitle(), *(text.get_text() for axes in figure.axes for text in axes.texts)]


def test_a_confusion_matrix_says_its_percentages_and_which_classes_it_leaves_out():
    counts = np.array([[3, 1], [0, 5]])
    assert texts(figures.confusion(None, counts, ["a", "$b$"], "net")) == [
        "Confusion matrix: 9 validation images, 88.9% right; in % of each row\nnet", "75", "25", "100"
    ]  # fmt: skip
    many = np.eye(1000, dtype=int)
    many[[3, 700], [700, 5]] = 4
    title, *numbers = texts(figures.confusion(None, many, list(map(str, range(1000))), "net"))
    assert title.startswith("The 20 most confused of 1,000 classes: 1,008 validation images, 99.2% right")
    assert len(numbers) == 20 + 2


def test_classes_may_have_any_name_that_a_folder_may(tmp_path, rng):
    n = len(STRANGE_NAMES)
    figures.confusion(tmp_path / "a.png", rng.integers(0, 9, (n, n)), STRANGE_NAMES, "net")
    cells = [(rng.integers(0, 256, (8, 8, 3), np.uint8), name, 0.5, name) for name in STRANGE_NAMES]
    figures.mistakes(tmp_path / "b.png", cells, 40, "net")
    assert len(list(tmp_path.iterdir())) == 2


def test_mistakes_say_what_was_said_and_what_is_right(rng):
    picture = rng.integers(0, 256, (8, 8, 3), np.uint8)
    assert texts(figures.mistakes(None, [(picture, "cat", 0.987, "dog" * 10)], 40, "net")) == [
        "The mistakes it was surest of, among 40 validation images\nnet", "said: cat, 99%", f"is: {'dog' * 7}…"
    ]  # fmt: skip
    assert texts(figures.mistakes(None, [], 40, "net")) == ["Not one mistake among 40 validation images\nnet"]
