"""What is trained on and what is reported: each set of images, each step, each evaluation, written out with NumPy."""

from types import SimpleNamespace

import alexnet_imagenet as example
import numpy as np
import pytest

import tinynet
from tinynet import data, nn, optim, parallel, plot, training
from tinynet.explain import figures
from tinynet.explain.filter_history import FilterHistory
from tinynet.metrics import MetricsFile
from tinynet.models import AlexNet
from tinynet.parallel import Ranks

SIDE, SIZE, EDGE = 72, 63, 4  # images, crops, and where the central crop begins


def images(n, seed, brightest):
    """n images of random pixels below `brightest`, each of a class of its own."""
    pixels = np.random.default_rng(seed).integers(0, brightest, (n, SIDE, SIDE, 3), np.uint8)
    return data.ArrayImages(pixels, np.arange(n), [str(i) for i in range(n)])


def pixels(dataset):
    return np.stack([dataset.image(i, SIDE) for i in range(len(dataset))]).astype(np.float64)


def options(**given):
    defaults = dict(data="d", image_size=SIZE, batch_size=20, augment="", recipe="he")
    return example.choose(defaults | given, None, Ranks())


@pytest.fixture(scope="module")
def sets():
    return images(50, 1, 256), images(30, 2, 100)


def loaders(sets, **given):
    return example.make_loaders(options(**given), Ranks(), *sets, SIDE, None, "cpu")


def all_of(loader):
    batches = list(loader)
    return np.concatenate([x for x, _ in batches]), np.concatenate([labels for _, labels in batches])


def center(of, mean, std):
    """(N, 3, SIZE, SIZE): the centers of the images, less that of the mean image, divided by std."""
    crop = slice(EDGE, EDGE + SIZE)
    return ((pixels(of) - mean)[:, crop, crop] / std).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("recipe, std", [("paper", 1), ("he", 58)])
def test_every_set_of_images_is_what_it_is_called(sets, recipe, std):
    """The mean image is that of the training set; validation images are not shuffled, cropped or changed at random."""
    train, val = sets
    mean = pixels(train).mean(axis=0)
    made = loaders(sets, recipe=recipe)
    for _ in range(2):
        got, labels = all_of(made.val["center crop"])
        np.testing.assert_array_equal(labels, np.arange(30))
        np.testing.assert_allclose(got, center(val, mean, std), atol=1e-3)
        ten, labels = all_of(made.val["ten-crop"])
        np.testing.assert_array_equal(labels, np.arange(30))
        np.testing.assert_allclose(ten[:, 4], center(val, mean, std), atol=1e-3)
    orders = []
    for _ in range(2):
        got, labels = all_of(made.train)
        assert sorted(labels) == list(range(50))
        np.testing.assert_allclose(got, center(train, mean, std)[labels], atol=1e-3)
        orders.append(labels.tolist())
    assert list(range(50)) != orders[0] != orders[1]
    single = made.plain(train.image(3, SIDE))
    np.testing.assert_allclose(single, center(train, mean, std)[3], atol=1e-3)


@pytest.mark.parametrize("recipe, std", [("paper", 1), ("he", 58)])
def test_color_noise_has_a_tenth_of_the_training_sets_deviation(sets, recipe, std):
    """Of its pixels' colors, along each principal component; pixels of he are divided by 58, and so is the noise."""
    train = pixels(sets[0])
    made, shifts = loaders(sets, augment="colors", recipe=recipe).train, []
    for _ in range(20):
        got, labels = all_of(made)
        shift = got - center(sets[0], train.mean(axis=0), std)[labels]
        np.testing.assert_allclose(shift.std(axis=(2, 3)), 0, atol=1e-4)  # one color for all pixels of an image
        shifts.append(std * shift[:, :, 0, 0])
    shifts = np.concatenate(shifts)
    expected = np.cov(train.reshape(-1, 3).T) / 100
    np.testing.assert_allclose(np.cov(shifts.T), expected, atol=0.15 * expected.max())


def test_mean_and_colors_are_of_images_drawn_with_the_runs_seed(sets, monkeypatch):
    fit, asked = data.fit_statistics, []
    monkeypatch.setattr(data, "fit_statistics", lambda *given, progress: asked.append(given) or fit(*given))
    loaders(sets, seed=7)
    assert asked == [(sets[0], SIDE, 7)]


@pytest.mark.parametrize("augment, varies", [("crops", True), ("flips", True), ("", False)])
def test_images_vary_from_epoch_to_epoch_and_with_the_seed(sets, augment, varies):
    """And no two seeds train on the same images in the same order."""
    def epochs(seed):
        made = loaders(sets, augment=augment, seed=seed).train
        return [dict(zip(labels, got, strict=True)) for got, labels in (all_of(made), all_of(made))]

    first, second = epochs(1)
    (other, _) = epochs(2)
    assert list(first) != list(other)
    for more in (second, other):
        same = np.mean([(first[label] == more[label]).all() for label in first])
        assert same < 0.75 if varies else same == 1


class Tiny(nn.Module):
    """One layer, which says whether it trains."""

    devices = ("cpu",)

    def __init__(self):
        tinynet.manual_seed(0)
        self.fc, self.modes = nn.Linear(12, 4), []

    def forward(self, x):
        self.modes.append(self.training)
        return self.fc(tinynet.tensor(x.numpy().reshape(len(x.numpy()), -1)))


class Batches(list):
    def load_state_dict(self, state):
        self.state = state


def batches(*sizes):
    rng = np.random.default_rng(0)
    return Batches((rng.standard_normal((n, 3, 2, 2)).astype("float32"), rng.integers(0, 4, n)) for n in sizes)


def softmax(x):
    p = np.exp(x - x.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def test_a_step_follows_the_mean_gradient_of_its_own_batch():
    """w <- w - lr / n * sum of the gradients, whatever n is, in training mode; nothing is left of the batch before."""
    model, steps = Tiny(), batches(5, 8, 3)
    w, b = model.fc.weight.data.astype(np.float64), model.fc.bias.data.astype(np.float64)
    model.eval()  # as an evaluation leaves it
    after = []
    example.train_epoch(steps, model, optim.SGD(model.parameters(), lr=0.5), parallel.DataParallel(model), lambda x: x,
                        SimpleNamespace(record=lambda *_: None), lambda: after.append(1))
    for images, labels in steps:
        x = images.reshape(len(images), -1)
        dy = (softmax(x @ w.T + b) - np.eye(4)[labels]) / len(x)
        w, b = w - 0.5 * dy.T @ x, b - 0.5 * dy.sum(axis=0)
    np.testing.assert_allclose(model.fc.weight.data, w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.fc.bias.data, b, rtol=1e-4, atol=1e-6)
    assert model.modes == [True] * 3 and len(after) == 3


class Seven(Tiny):
    """Seven classes, so that the fifth answer and the sixth both exist."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 7)


def test_an_evaluation_counts_images_in_evaluation_mode():
    """The mean loss over images, not batches; the first answer, and the first five."""
    model = Seven()
    sets = Batches((x, labels + 2) for x, labels in batches(40, 10, 7))
    result = training.evaluate(model, sets, Ranks())
    x, labels = (np.concatenate(part) for part in zip(*sets, strict=True))
    scores = x.reshape(len(x), -1) @ model.fc.weight.data.T + model.fc.bias.data
    rank = (scores > scores[np.arange(57), labels][:, None]).sum(axis=1)
    assert result["loss"] == pytest.approx(-np.log(softmax(scores)[np.arange(57), labels]).mean(), rel=1e-5)
    assert (result["top1"], result["top5"]) == (np.mean(rank < 1), np.mean(rank < 5))
    assert len({np.mean(rank < k) for k in (1, 2, 4, 5, 6)}) == 5, "a wrong k must show"
    assert not any(model.modes)
    assert sets.state == {"epoch": 0, "position": 0}, "an evaluation that was stopped begins again"
    (line,) = training.result_lines(model, {"center crop": sets}, Ranks())
    assert line == f"center crop: top-1 {100 * np.mean(rank < 1):.1f} % top-5 {100 * np.mean(rank < 5):.1f} %"


def test_an_evaluation_is_of_the_images_of_all_ranks():
    """Counts and sums are added; the ranks' means would weigh images of small shards more."""
    elsewhere = [30, 60.0, 15.0, 27.0]  # another rank's count and sums
    others = SimpleNamespace(all_gather_object=lambda own: [own, elsewhere])
    sets = Batches((x, labels + 2) for x, labels in batches(10))
    here, both = (training.evaluate(Seven(), sets, ranks) for ranks in (Ranks(), others))
    for name, total in zip(("loss", "top1", "top5"), elsewhere[1:], strict=True):
        assert both[name] == pytest.approx((10 * here[name] + total) / 40)


class OneBatch:
    epoch, position, wait_seconds = 0, 1, 0.0

    def __len__(self):
        return 1


def test_metrics_are_of_the_batch_and_of_the_weights_rate(tmp_path):
    """metrics.csv: the rate of weights, not of biases; shares of the n images."""
    model, (batch,) = Seven(), batches(40)
    groups = [{"params": [model.fc.weight]}, {"params": [model.fc.bias], "lr": 0.2}]
    progress = training.Progress(Ranks(), OneBatch(), optim.SGD(groups, lr=0.1), model, 1)
    x, labels = batch
    logits = model(tinynet.tensor(x))
    with progress.writing(tmp_path / "metrics.csv"):
        progress.record(tinynet.tensor(np.float32(1.5)), logits, labels, 40, x)
    rank = (logits.numpy() > logits.numpy()[np.arange(40), labels][:, None]).sum(axis=1)
    (row,) = MetricsFile(tmp_path / "metrics.csv", 1).rows
    found = [float(row[name]) for name in ("lr", "loss", "top1", "top5")]
    assert found == pytest.approx([0.1, 1.5, np.mean(rank < 1), np.mean(rank < 5)])
    assert len({np.mean(rank < k) for k in (1, 2, 4, 5, 6)}) == 5, "a wrong k must show"


def test_figure_4s_neighbors_are_the_nearest_by_the_last_hidden_layer(sets, monkeypatch, tmp_path):
    """Six of the training set for each validation image, the nearest first, by Euclidean distance after fc7's ReLU."""
    train, val = sets
    tinynet.manual_seed(0)
    model = AlexNet(len(train.classes), ["cpu", "cpu"], width=0.1, image_size=SIZE, recipe=example.RECIPES["he"])
    made, outputs = loaders(sets), {}

    def seen(of):
        model.eval()
        x = np.stack([made.plain(of.image(i, SIDE)) for i in range(len(of))])
        model.forward(tinynet.tensor(x), hook=lambda name, xs: outputs.update({name: [y.numpy() for y in xs]}))
        return np.concatenate(outputs["relu7"], axis=1)

    drawn = []
    for name in ("filters_over_time", "layers", "patches", "confusion", "mistakes", "heading", "save"):
        monkeypatch.setattr(figures, name, lambda *_, **__: None)
    monkeypatch.setattr(plot, "curves", lambda *_: None)
    monkeypatch.setattr(plot, "nearest", lambda path, pictures, title: drawn.extend(pictures))
    monkeypatch.setattr(plot, "filters", lambda path, weight, *_: drawn.append(weight))
    example.draw_figures(tmp_path, options(), model, made, SimpleNamespace(rows=[]), FilterHistory(model))
    np.testing.assert_array_equal(drawn.pop(0), model.state_dict()["conv1.weight"])
    known, asked = seen(train), np.linspace(0, 29, 6).astype(int)
    for row, i in zip(drawn, asked, strict=True):
        distance = np.sqrt(((known - seen(val)[i]) ** 2).sum(axis=1))
        expected = [val.image(i, SIDE), *(train.image(j, SIDE) for j in np.argsort(distance)[:6])]
        np.testing.assert_array_equal([picture for picture, _ in row], expected)
