"""What the paper and its code say, written out here, against the example's own objects (not against our tables)."""

import inspect
from dataclasses import FrozenInstanceError, asdict
from types import SimpleNamespace

import alexnet_imagenet as example
import numpy as np
import pytest

import tinynet
from tinynet import data, training
from tinynet.models import RECIPES, AlexNet
from tinynet.parallel import Ranks

HIDDEN = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]
# Of conv1 to fc8 the std of weights, and the biases; LRN's alpha / 5 and k; the biases' rate and whether they decay;
# what pixels are divided by; whether dropout halves in evaluation
PAPER = ([0.01] * 8, [0, 1, 0, 1, 1, 1, 1, 0], 1e-4, 2, 1, True, 1.0, True)
TABLE = {
    "paper": PAPER,
    "chm2012": ([0.01, 0.01, 0.03, 0.03, 0.03, 0.01, 0.01, 0.01], PAPER[1], 2e-5, 2, 2, False, 1.0, True),
    "caffe": ([0.01] * 5 + [0.005, 0.005, 0.01], [0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0], 2e-5, 1, 2, False, 1.0, False),
    # He et al.: sqrt(2 / fan-in), of the last layer sqrt(1 / fan-in); fan-ins of the full network
    "he": ([0.01, *np.sqrt(2 / np.array([48 * 25, 256 * 9, 192 * 9, 192 * 9, 9216, 4096])), np.sqrt(1 / 4096)],
           [0] * 8, 2e-5, 2, 1, True, 58.0, False),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_says_what_its_source_says(name):
    stds, biases, alpha, k, bias_lr, decay, pixel_std, halves = TABLE[name]
    recipe, fan_in = RECIPES[name], [363, 48 * 25, 256 * 9, 192 * 9, 192 * 9, 9216, 4096, 4096]
    for layer, std, bias, n in zip([*HIDDEN, "fc8"], stds, biases, fan_in, strict=True):
        assert recipe.std(layer, n) == pytest.approx(std), layer
        assert recipe.bias.get(layer, recipe.bias["default"]) == bias, layer
    assert recipe.lrn["size"] == 5 and recipe.lrn["beta"] == 0.75 and recipe.lrn["k"] == k
    assert recipe.lrn["alpha"] / 5 == pytest.approx(alpha)
    assert (recipe.lr, recipe.bias_lr, recipe.decay_biases) == (0.01, bias_lr, decay)
    assert (recipe.pixel_std, recipe.halve_in_evaluation) == (pixel_std, halves)


def test_a_recipe_cannot_be_changed():
    """All networks share it."""
    with pytest.raises(FrozenInstanceError):
        RECIPES["paper"].lr = 0.02


def options(**given):
    return example.choose(given, None, Ranks())


def test_the_papers_preset():
    paper, quick = asdict(options(preset="paper", data="d")), asdict(options(data="d"))
    assert {name: value for name, value in paper.items() if value != quick[name]} == {
        "preset": "paper", "recipe": "paper", "schedule": "plateau", "epochs": 90, "batch_size": 128, "width": 1.0,
        "image_size": 224, "outputs": 1000,
    }


QUICK = {
    "preset": "quick", "devices": "cpu,cpu", "split_fc8": False, "parallel": "data", "recipe": "he",
    "schedule": "cosine", "epochs": 40, "batch_size": 64, "lr": 0.01, "scale_lr": False, "warm_up": 0, "width": 0.5,
    "image_size": 112, "outputs": 0, "variant": "", "dropout": 0.5, "weight_decay": 0.0005,
    "augment": "crops,flips,colors",
}


def test_the_quick_preset():
    """What docs and benchmarks report was trained with these."""
    photographs, shapes = asdict(options(data="d")), asdict(options())
    assert {name: photographs[name] for name in QUICK} == QUICK
    assert {name: value for name, value in shapes.items() if value != photographs[name]} == {
        "data": "shapes", "width": 0.25, "image_size": 64, "epochs": 28, "batch_size": 32,
    }


def test_the_network_is_the_one_that_was_asked_for():
    asked = dict(width=0.1, image_size=67, dropout=0.3, split_fc8=True, variant="tanh,no-conv3")
    o = options(data="d", recipe="caffe", outputs=12, seed=3, **asked)
    model, more = (example.make_model(o, classes, ["cpu", "cpu"], Ranks()) for classes in (10, 20))
    expected = asked | dict(recipe=RECIPES["caffe"], devices=["cpu", "cpu"], groups=2)
    assert model.arguments == expected | {"classes": 12} and more.arguments == expected | {"classes": 20}
    assert model.dropout6.parts[0].p == model.dropout7.parts[0].p == 0.3
    again, other = (example.make_model(options(data="d", recipe="caffe", outputs=12, seed=seed, **asked), 10,
                                       ["cpu", "cpu"], Ranks()).state_dict()["fc7.weight"] for seed in (3, 4))
    np.testing.assert_array_equal(again, model.state_dict()["fc7.weight"])
    assert (again != other).mean() > 0.99


def test_the_layers_are_in_the_papers_order():
    """LRN after the ReLU, pooling after LRN (3.5); dropout on the outputs of the first two fully connected layers."""
    names = [name for name, _ in AlexNet(10, width=0.05, image_size=63).layers]
    assert names == [
        "conv1", "relu1", "lrn1", "pool1", "conv2", "relu2", "lrn2", "pool2", "conv3", "relu3", "conv4", "relu4",
        "conv5", "relu5", "pool5", "flatten5", "fc6", "relu6", "dropout6", "fc7", "relu7", "dropout7", "fc8",
    ]


def test_weights_are_gaussian():
    """Of a normal distribution, 68.3 % are within one standard deviation, 95.4 % within two, 99.7 % within three."""
    tinynet.manual_seed(0)
    weights = AlexNet(10, width=0.1, image_size=63).state_dict()["fc7.weight"] / 0.01
    assert abs(weights.mean()) < 0.01
    for deviations, share in ((1, 0.683), (2, 0.954), (3, 0.997)):
        assert (abs(weights) < deviations).mean() == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize("recipe", TABLE)
@pytest.mark.parametrize("given", [{}, {"lr": 0.03, "weight_decay": 0.002}])
def test_the_update_is_the_papers(recipe, given):
    """v <- 0.9 v - 0.0005 lr w - lr g; of biases at the recipe's rate, and decay or not.

    The rate falls in between: v keeps what it has, which PyTorch's momentum would scale.
    """
    o = options(preset="paper", recipe=recipe, width=0.05, image_size=63, **given)
    model = AlexNet(10, width=0.05, image_size=63, recipe=RECIPES[recipe])
    optimizer, _, warm_up = example.make_optimizer(o, model, 5)
    rng, v = np.random.default_rng(0), {}
    rate, weight_decay = given.get("lr", 0.01), given.get("weight_decay", 0.0005)
    assert warm_up is None and sum(len(group["params"]) for group in optimizer.param_groups) == 16
    for _ in range(3):
        before = {name: p.data.astype(np.float64) for name, p in model.named_parameters()}
        for name, p in model.named_parameters():
            p.grad = rng.standard_normal(p.shape).astype(np.float32)
            bias = name.endswith("bias")
            lr = rate * (TABLE[recipe][4] if bias else 1)
            decay = weight_decay * (TABLE[recipe][5] if bias else 1)
            v[name] = 0.9 * v.get(name, 0) - decay * lr * before[name] - lr * p.grad
        optimizer.step()
        for name, p in model.named_parameters():
            np.testing.assert_allclose(p.data, before[name] + v[name], rtol=1e-5, atol=1e-6)
        rate /= 10
        for group in optimizer.param_groups:
            group["lr"] /= 10


def rates(epochs, schedule, error=lambda epoch: 1.0, **given):
    """Of the weights in each epoch; error: the validation error after it."""
    o = options(data="d", schedule=schedule, epochs=epochs, **given)
    optimizer, schedule, _ = example.make_optimizer(o, AlexNet(10, width=0.05, image_size=63), 5)
    found = []
    for epoch in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        schedule.step(error(epoch))
    return found


def test_the_rate_falls_by_ten_as_often_as_the_error_stays():
    """In 2012, three times. It falls after five epochs without a new best; any fall of the error is one."""
    assert rates(18, "plateau") == pytest.approx([1e-2] * 6 + [1e-3] * 5 + [1e-4] * 5 + [1e-5] * 2)
    assert rates(18, "plateau", lambda epoch: 0.999**epoch) == pytest.approx([1e-2] * 18)


def test_the_other_schedules():
    assert rates(7, "step") == pytest.approx([1e-2] * 2 + [1e-3] * 2 + [1e-4] * 3)
    assert rates(4, "cosine") == pytest.approx(0.005 * (1 + np.cos(np.pi * np.arange(4) / 4)))


@pytest.mark.parametrize("given, first, last", [
    ({"warm_up": 2}, 0.001, 0.01), ({"warm_up": 2, "lr": 0.05}, 0.005, 0.05),
    ({"warm_up": 2, "scale_lr": True, "batch_size": 512}, 0.01, 0.04),  # from the rate of 128 images
    ({"warm_up": 2, "scale_lr": True, "batch_size": 32}, 0.0025, 0.0025),
])
def test_warm_up_and_scaled_rates(given, first, last):
    """Goyal et al., 2017: a rate in proportion to the batch, reached step by step."""
    model = AlexNet(10, width=0.05, image_size=63)
    optimizer, _, warm_up = example.make_optimizer(options(data="d", **given), model, 5)
    found = []
    for _ in range(12):
        found.append(optimizer.param_groups[0]["lr"])
        warm_up.step()
    assert found == pytest.approx([*np.linspace(first, last, 11), last])


@pytest.mark.parametrize("improves, rate", [(True, 0.01), (False, 0.001)])
def test_the_plateau_is_that_of_the_validation_error(monkeypatch, tmp_path, improves, rate):
    """The rate is divided by 10 once the error has not fallen for more than 4 epochs; a falling loss does not count."""
    pictures, epochs = data.shapes(tmp_path, train=16, val=10, side=72), iter(range(100))

    def result(model, loader, ranks, after_batch=None):
        assert loader.dataset.root == pictures / "val" and isinstance(loader.crop, data.CenterCrop)
        assert loader.side == 72  # 63 / 224 * 256
        epoch = next(epochs)
        return {"loss": 9 / (1 + epoch), "top1": 0.1 + 0.01 * epoch * improves, "top5": 0.5}

    monkeypatch.setattr(training, "evaluate", result)
    monkeypatch.setattr(training, "result_lines", lambda *_: [])
    monkeypatch.setattr(example, "draw_figures", lambda *_: None)
    arguments = ["--data", str(pictures), "--schedule", "plateau", "--epochs", "7", "--batch-size", "8",
                 "--width", "0.05", "--image-size", "63", "--out", str(tmp_path / "r"), "--devices", "cpu"]
    example.main(Ranks(), arguments)
    rows = (tmp_path / "r" / "metrics.csv").read_text().splitlines()[1:]
    rates = [float(row.split(",")[2]) for row in rows[::2]]
    assert rates == pytest.approx([0.01] * 6 + [rate])


def loaders(images, eigenvalues, size=63, side=72, **given):
    n, o = len(images), options(data="d", image_size=size, batch_size=50, **given)
    dataset = data.ArrayImages(images, np.zeros(n, int), ["a"])
    state = {"mean": np.zeros((side, side, 3), np.float32), "eigenvalues": eigenvalues, "eigenvectors": np.eye(3)}
    saved = SimpleNamespace(state_dict=lambda name: state)
    return example.make_loaders(o, Ranks(), dataset, dataset, side, saved, "cpu")


def test_training_images_are_cropped_and_flipped_at_random():
    """Each of the 10 x 10 offsets and both directions are equally likely. A pixel's color says where it comes from."""
    y, x = np.mgrid[:72, :72]
    image = np.stack([x, y, np.full_like(x, 128)], axis=-1).astype(np.uint8)
    loader = loaders(np.stack([image] * 1500), [0, 0, 0], recipe="paper").train
    crops = np.concatenate([images for images, _ in loader])
    flipped = crops[:, 0, 0, 0] > crops[:, 0, 0, -1]
    left, top = crops[:, 0, 0].min(axis=1), crops[:, 1, 0, 0]
    assert crops.shape == (1500, 3, 63, 63) and 0.45 < flipped.mean() < 0.55
    for offsets in (left, top):
        counts = np.bincount(offsets.astype(int), minlength=10)
        assert len(counts) == 10 and counts.min() > 100 and counts.max() < 200
    assert abs(np.corrcoef(np.stack([left, top, flipped]))[np.triu_indices(3, 1)]).max() < 0.1


def test_training_images_get_color_noise_and_validation_images_do_not():
    """N(0, 0.1) times the square root of each eigenvalue, one draw per image and epoch."""
    gray = np.full((1000, 72, 72, 3), 100, np.uint8)
    made = loaders(gray, [10_000.0, 2500.0, 100.0], recipe="paper")
    for _ in range(2):
        shifts = np.concatenate([images[:, :, 0, 0] for images, _ in made.train]) - 100
        np.testing.assert_allclose(shifts.std(axis=0), [10, 5, 1], rtol=0.1)
        np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=1.5)
        assert len(np.unique(shifts[:, 0])) == 1000
    assert all((images == 100).all() for loader in made.val.values() for images, _ in loader)
    scaled = next(iter(loaders(gray[:50], [0, 0, 0], recipe="he").train))[0]
    np.testing.assert_allclose(scaled, 100 / 58, rtol=1e-6)


def test_ten_crops_are_averaged_after_the_softmax():
    """Four corners and the center, and their mirror images; the mean of probabilities, not of scores."""
    y, x = np.mgrid[:72, :72]
    image = np.stack([x, y, np.full_like(x, 128)], axis=-1).astype(np.uint8)
    images, _ = next(iter(loaders(np.stack([image] * 2), [0, 0, 0], recipe="paper").val["ten-crop"]))
    corners = [(c[0, 0].min(), c[1, 0, 0], c[0, 0, 0] > c[0, 0, -1]) for c in images[0]]
    places = [(0, 0), (9, 0), (0, 9), (9, 9), (4, 4)]
    assert sorted(corners) == sorted((*place, flip) for place in places for flip in (False, True))

    class Fake:
        devices = ("cpu",)

        def eval(self):
            return self

        def __call__(self, x):  # what it says of a crop depends on where it begins, strongly
            first = x.numpy()[:, :2, 0, 0]
            return tinynet.tensor(np.stack([first[:, 0] - 30, first[:, 1], 0 * first[:, 0]], axis=1))

    class Batch:
        def __iter__(self):
            yield images, np.array([0, 2])

        def load_state_dict(self, state):
            pass

    fake = Fake()
    scores = fake(tinynet.tensor(images.reshape(-1, 3, 63, 63))).numpy().reshape(2, 10, 3)
    p = np.exp(scores - scores.max(axis=2, keepdims=True))
    p = (p / p.sum(axis=2, keepdims=True)).mean(axis=1)
    result = training.evaluate(fake, Batch(), Ranks())
    assert result["loss"] == pytest.approx(-np.log([p[0, 0], p[1, 2]]).mean(), rel=1e-5)
    assert result["top1"] == np.mean([p[0].argmax() == 0, p[1].argmax() == 2])


def test_alexnet_without_arguments_is_the_papers():
    defaults = {name: p.default for name, p in inspect.signature(AlexNet).parameters.items()}
    assert defaults | {"recipe": defaults["recipe"].name} == {
        "classes": 1000, "devices": ("cpu",), "groups": 2, "width": 1.0, "image_size": 224, "recipe": "paper",
        "dropout": 0.5, "split_fc8": False, "variant": "",
    }
