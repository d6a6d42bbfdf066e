"""What experiments compute from runs: differences, epochs to a goal, colorfulness, retrieval, a linear classifier."""

import numpy as np
import pytest

import tinynet
from tinynet import data, nn
from tinynet.experiments import features, initialization, specialize
from tinynet.experiments.batch_size import noise
from tinynet.experiments.images import Part
from tinynet.experiments.laboratory import Run
from tinynet.experiments.networks import FourLayers
from tinynet.experiments.page import epochs_to, spread, times_as_long, verdict


@pytest.mark.parametrize("differences, paper, words", [
    ([1.0, 1.1, 0.9], "+1", "It shows: 95 % interval +0.75 to +1.25."),
    ([-1.0, -1.1, -0.9], "+1", "The opposite shows: 95 % interval -1.25 to -0.75."),
    ([-1.0, -1.1, -0.9], "", "It shows: 95 % interval -1.25 to -0.75."),
    ([1.0, 3.0, 0.5], "+1", "Not more than the seeds differ: 95 % interval -1.78 to +4.78."),  # all of one sign
    ([1.0], "+1", "One seed: its spread is not known."),
])  # fmt: skip
def test_a_difference_counts_if_it_is_larger_than_its_spread(differences, paper, words):
    """1.0 +- 4.30 * 0.1 / sqrt(3)."""
    assert verdict(differences, paper) == words


def test_the_intervals_hold_what_they_say():
    """Of 95 % intervals from three numbers around 0, one in twenty says that there is a difference."""
    rng = np.random.default_rng(0)
    shown = sum("shows" in verdict(rng.standard_normal(3)) for _ in range(4000))
    assert 150 < shown < 250


def test_spread():
    assert spread([1.0, 2.0, 6.0]) == "3.0 (1.0 to 6.0)" and spread([2.0], 2) == "2.00"


def run(errors, losses=()):
    rows = [{"error": error, "loss": 2 * error, "seconds": 1.5} for error in errors]
    return Run(None, None, {"epochs": rows, "losses": list(losses), "trained_error": 0.25})


def test_epochs_to_an_error():
    assert epochs_to(run([0.5, 0.3, 0.2]), 0.25) == pytest.approx(2.0)  # halfway from 1.5 to 2.5
    assert epochs_to(run([0.5, 0.25]), 0.25) == pytest.approx(1.5)
    assert epochs_to(run([0.5, 0.3]), 0.25) == np.inf
    assert epochs_to(run([0.25]), 0.25) == pytest.approx(0.5)
    slow, fast = run([0.9, 0.8, 0.6, 0.5]), run([0.7, 0.5, 0.4, 0.3])
    assert times_as_long([slow, fast], [fast, slow]) == [4 / 2, 2 / 4]
    assert run([0.5, 0.3]).seconds == 3 and run([0.5, 0.3]).final("error") == 30
    assert run([1.0]).final("trained_error") == 25


def test_steps_to_leave_a_plateau():
    losses = [2.3] * 50 + [1.0] * 50
    assert initialization.first_below(run([], losses), 2.0) == 50 + 5  # 5 of 20 at 1.0: 1.975
    assert initialization.first_below(run([], losses), 0.5) == 100


def test_colorfulness(rng):
    gray = np.repeat(rng.standard_normal((4, 1, 5, 5)), 3, axis=1)
    opposite = rng.standard_normal((4, 1, 5, 5)) * np.array([1, -1, 0])[:, None, None]
    one_color = rng.standard_normal((4, 1, 5, 5)) * np.array([1, 0, 0])[:, None, None]  # 1 - 1/3
    shares = specialize.colorfulness(np.concatenate([gray, opposite, one_color, 7 * one_color]))
    np.testing.assert_allclose(shares, np.repeat([0, 1, 2 / 3, 2 / 3], 4), atol=1e-12)


def test_chance_of_a_difference_between_columns(rng):
    assert specialize.chance(np.concatenate([rng.uniform(0, 0.2, 24), rng.uniform(0.6, 1, 24)])) < 0.001
    assert specialize.chance(np.tile(rng.uniform(0, 1, 24), 2)) > 0.9
    random = [specialize.chance(rng.uniform(0, 1, 24), halves=200) for _ in range(200)]
    assert 0.4 < np.mean(random) < 0.6


def found(train, train_labels, val, val_labels):
    return {"train-x": train, "train-labels": train_labels, "val-x": val, "val-labels": val_labels}


def test_retrieval_against_loops(rng):
    train, val = rng.standard_normal((40, 5)), rng.standard_normal((7, 5))
    labels, asked = rng.integers(0, 3, 40), rng.integers(0, 3, 7)
    shares = []
    for x, y in zip(val, asked, strict=True):
        nearest = sorted(range(40), key=lambda i: ((train[i] - x) ** 2).sum())
        shares.append([np.mean([labels[i] == y for i in nearest[:k]]) for k in range(1, 31)])
    np.testing.assert_allclose(features.retrieval(found(train, labels, val, asked), "x"), np.mean(shares, axis=0))


def test_the_linear_classifier_separates_what_a_line_can(rng):
    centers = 4 * np.eye(3, 20) + 10  # a mean that has to be taken away
    labels, asked = rng.integers(0, 3, 300), rng.integers(0, 3, 100)
    train, val = (centers[y] + 0.5 * rng.standard_normal((len(y), 20)) for y in (labels, asked))
    assert features.classify(found(train, labels, val, asked), "x") < 0.02
    assert features.classify(found(train, rng.permutation(labels), val, asked), "x") > 0.4


def test_a_batchs_noise_is_proportional_to_one_over_its_size():
    """|g - mean|^2 / |mean|^2 of a linear layer, whose gradients are known to be independent from image to image."""

    class Model(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(12, 2)

        def forward(self, x):
            return self.fc(x.reshape(len(x), -1))

    class Images:
        def trained(self):
            rng = np.random.default_rng(1)
            labels = rng.integers(0, 2, 4000)
            yield (rng.standard_normal((4000, 3, 2, 2)) + labels[:, None, None, None]).astype(np.float32), labels

    tinynet.manual_seed(0)
    model = Model()
    small, large = noise(model, Images(), 10), noise(model, Images(), 160)
    assert 8 < small / large < 32 and model.fc.weight.grad is None


def test_a_part_of_a_data_set():
    pixels = np.arange(12)[:, None, None, None] * np.ones((12, 4, 4, 3), np.uint8)
    images = data.ArrayImages(pixels.astype(np.uint8), np.tile([0, 1, 2, 3], 3), list("abcd"), "toy")
    part = Part(images, classes=(1, 3), per_class=2)
    assert part.classes == ["b", "c"] and list(part.labels) == [0, 1, 0, 1] and len(part) == 4
    assert [int(part.image(i, 4)[0, 0, 0]) for i in range(4)] == [1, 2, 5, 6]
    assert [path.name for path in part.paths] == ["1", "2", "5", "6"]
    assert len(Part(images)) == 12 and Part(images).classes == list("abcd")
    with pytest.raises(data.DataError, match="no images in its classes 4 to 4"):
        Part(images, classes=(4, 5))


def test_four_layers():
    tinynet.manual_seed(0)
    model = FourLayers(10, lrn=True)
    assert {name: p.shape for name, p in model.named_parameters() if name.endswith("weight")} == {
        "conv1.weight": (32, 3, 5, 5), "conv2.weight": (32, 32, 5, 5), "conv3.weight": (64, 32, 5, 5),
        "fc4.weight": (10, 64 * 4 * 4),
    }
    x = tinynet.tensor(np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32))
    outputs = {}
    for name, more in (("relu", {}), ("tanh", {"activation": nn.Tanh}), ("lrn", {"lrn": True})):
        tinynet.manual_seed(0)
        outputs[name] = FourLayers(10, **more)(x).numpy()
    assert outputs["relu"].shape == (2, 10)
    assert not np.allclose(outputs["relu"], outputs["tanh"]) and not np.allclose(outputs["relu"], outputs["lrn"])
