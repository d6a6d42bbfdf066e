"""The network as a whole: its numbers, its two columns, and PyTorch's losses."""

import numpy as np
import pytest

import tinynet
from tinynet import backend, emulator, explain, nn, optim, plot, training
from tinynet import functional as F
from tinynet.models import RECIPES, AlexNet, LeNet
from tinynet.models.alexnet import DropoutOf2012

SMALL = dict(classes=10, width=0.25, image_size=64)
FOUR = "emu:0,emu:1,emu:2,emu:3"


def small(devices=("cpu",), seed=0, dtype=None, recipe="he", **more):
    tinynet.manual_seed(seed)
    model = AlexNet(devices=devices, recipe=RECIPES[recipe], **SMALL | more)
    if dtype:
        for p in model.parameters():
            with backend.use_device(p.device):
                p.data = p.data.astype(dtype)
    return model


def batch(rng, n=8, size=64):
    return rng.standard_normal((n, 3, size, size)).astype("float32"), rng.integers(0, 10, n)


@pytest.mark.parametrize("n, conv1, conv3", [
    (1, "96 x 55 x 55", "885,120"), (2, "48 x 55 x 55", "442,560"), (4, "24 x 55 x 55", "221,280"),
])
def test_full_size_has_the_parameters_and_products_of_the_paper(n, conv1, conv3):
    table = explain.layer_table(AlexNet(devices=["cpu"] * n))
    assert table.count(conv1) == n and conv3 in table
    assert table.count("all_gather: 11.08 MB each way, batch of 128") == (n == 2)
    assert "60,965,224" in table and "724.41" in table


@pytest.mark.parametrize("n, groups", [(2, 2), (4, 2), (4, 4)])
def test_the_same_seed_gives_the_same_weights_on_any_number_of_devices(n, groups):
    one, more = small(groups=groups).state_dict(), small(["cpu"] * n, groups=groups).state_dict()
    assert list(one) == list(more)
    for name in one:
        np.testing.assert_array_equal(one[name], more[name])


SPLITS = [  # devices, groups, split_fc8
    ("cpu,cpu", 2, False), ("cpu,cpu", 2, True), ("cpu,cpu,cpu,cpu", 2, False), ("cpu,cpu,cpu,cpu", 4, True),
    ("cpu,cpu,cpu,cpu", 1, False), ("emu:0,emu:1", 2, False), (FOUR, 2, True),
]


@pytest.mark.parametrize("columns, groups, split_fc8", [
    *SPLITS, ("emu:0", 2, False), ("emu:0,emu:0", 2, False), (FOUR, 4, False),
])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
def test_columns_equal_one_device(rng, dtype, tolerance, columns, groups, split_fc8):
    """Outputs and every gradient, with LRN strong enough that its windows would show a mistake."""
    images, labels = batch(rng)
    results = []
    for devices, split in ((["cpu"], False), (columns.split(","), split_fc8)):
        model = small(devices, dtype=dtype, groups=groups, split_fc8=split, classes=12)
        for _, layer in model.layers:
            for part in getattr(layer, "parts", []):
                if isinstance(part, nn.LocalResponseNorm):
                    part.alpha = 0.5
        logits = model(tinynet.tensor(images.astype(dtype), device=devices[0]))
        F.cross_entropy(logits, labels).backward()
        results.append({"logits": logits.numpy()} | model.state_dict(of=lambda p: p.grad))
    for name, expected in results[0].items():
        scale = np.abs(expected).max()
        assert np.abs(results[1][name] - expected).max() <= tolerance * scale, name


@pytest.mark.parametrize("columns, groups, split_fc8", SPLITS)
@pytest.mark.parametrize("dtype, lr, tolerance", [("float32", 0.001, 1e-5), ("float64", 0.01, 1e-12)])
def test_twenty_steps_give_the_losses_of_one_device(dtype, lr, tolerance, columns, groups, split_fc8):
    """With dropout. At 0.01 one ReLU tipped by rounding takes float32's losses apart, as it does against PyTorch."""
    losses = []
    for devices, split in ((["cpu"], False), (columns.split(","), split_fc8)):
        model = small(devices, dtype=dtype, groups=groups, split_fc8=split, classes=12)
        losses.append(train(model, 20, dtype=dtype, lr=lr))
    np.testing.assert_allclose(losses[1], losses[0], rtol=tolerance)


def train(model, steps, optimizer=None, dtype="float32", lr=0.001, seed=5):
    """The losses of some steps."""
    optimizer, rng = optimizer or optim.PaperSGD(model.parameters(), lr=lr), np.random.default_rng(seed)
    losses = []
    for _ in range(steps):
        images, labels = batch(rng, 4)
        loss = F.cross_entropy(model(tinynet.tensor(images.astype(dtype), device=model.devices[0])), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("devices, groups, split_fc8", [
    ("emu:0,emu:1", 2, False), ("emu:0,emu:1", 2, True), (FOUR, 2, False), (FOUR, 4, True),
])
def test_nothing_but_the_collectives_moves_between_devices(rng, devices, groups, split_fc8):
    """Bytes of a training step: those that explain.steps tells; and nothing is read back, so nobody waits."""
    images, labels = batch(rng, n=4)
    model = small(devices.split(","), groups=groups, split_fc8=split_fc8, classes=12)
    optimizer = optim.PaperSGD(model.parameters(), lr=0.01)
    images = tinynet.tensor(images, device="emu:0")

    def step():
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    step()  # from now on the kernels have their tables
    with emulator.transfers() as moved:
        step()
    expected = {("cpu", "emu:0"): labels.nbytes}
    for s in explain.steps(model, batch_size=4):
        for (i, j), size in s.sends.items():
            there, back = (f"emu:{i}", f"emu:{j}"), (f"emu:{j}", f"emu:{i}")
            expected[there] = expected.get(there, 0) + size
            if s.name != "images":  # which have no cotangent
                expected[back] = expected.get(back, 0) + size
    assert moved == expected


@pytest.mark.parametrize("split_fc8", [False, True])
def test_what_crosses_at_full_size_and_batch_128(split_fc8, tmp_path):
    """Told by the model itself; the test above shows that its account is true."""
    steps = explain.steps(AlexNet(devices=["cpu", "cpu"], split_fc8=split_fc8), 128)
    crossing = {s.name: {way: round(size / 1e6, 2) for way, size in s.sends.items()} for s in steps if s.sends}
    fc8 = {"gather8": {(1, 0): 1.05}}
    if split_fc8:
        fc8 = {"all_gather8": {(0, 1): 1.05, (1, 0): 1.05}, "gather_logits": {(1, 0): 0.26}}
    assert crossing == fc8 | {
        "images": {(0, 1): 77.07},
        "all_gather3": {(0, 1): 11.08, (1, 0): 11.08},
        "all_gather6": {(0, 1): 2.36, (1, 0): 2.36},
        "all_gather7": {(0, 1): 1.05, (1, 0): 1.05},
    }
    plot.columns(tmp_path / "columns.png", steps, "title")
    assert (tmp_path / "columns.png").stat().st_size > 10_000


@pytest.mark.parametrize("n", [1, 4])
def test_columns_of_any_number_are_a_picture(n, tmp_path):
    plot.columns(tmp_path / "columns.png", explain.steps(small(["cpu"] * n), 8), "title")
    assert (tmp_path / "columns.png").stat().st_size > 10_000


@pytest.mark.parametrize("first, second", [
    ("cpu", "cpu,cpu"), ("cpu,cpu", "cpu"), ("cpu", FOUR), ("cpu,cpu,cpu,cpu", "emu:0,emu:1"), (FOUR, "cpu"),
])
def test_a_checkpoint_goes_on_with_other_devices(tmp_path, first, second):
    """Weights, velocity and generator of one in the other: the next losses are those of the straight run."""
    model, other = small(first.split(","), seed=1), small(second.split(","), seed=2)
    optimizer, their_optimizer = (optim.PaperSGD(m.parameters(), lr=0.001) for m in (model, other))
    train(model, 2, optimizer)
    training.Checkpoint(tmp_path / "c", model=model, optimizer=optimizer).save()
    expected = train(model, 3, optimizer, seed=6)
    training.load(tmp_path / "c").restore(model=other, optimizer=their_optimizer)
    np.testing.assert_allclose(train(other, 3, their_optimizer, seed=6), expected, rtol=1e-5)


def torch_alexnet(torch, weights):
    """The same network in PyTorch, on one device, with the given weights."""
    functional, t = torch.nn.functional, {k: torch.tensor(v, requires_grad=True) for k, v in weights.items()}

    def forward(x):
        def conv(name, x, **how):
            return functional.relu(functional.conv2d(x, t[f"{name}.weight"], t[f"{name}.bias"], **how))

        def lrn(x):
            halves = x.reshape(2 * len(x), -1, *x.shape[2:])
            return functional.local_response_norm(halves, 5, 1e-4, 0.75, 2.0).reshape(x.shape)

        x = functional.max_pool2d(lrn(conv("conv1", x, stride=4, padding=2)), 3, 2)
        x = functional.max_pool2d(lrn(conv("conv2", x, padding=2, groups=2)), 3, 2)
        x = conv("conv3", x, padding=1)
        x = conv("conv4", x, padding=1, groups=2)
        x = functional.max_pool2d(conv("conv5", x, padding=1, groups=2), 3, 2).flatten(1)
        x = functional.relu(functional.linear(x, t["fc6.weight"], t["fc6.bias"]))
        x = functional.relu(functional.linear(x, t["fc7.weight"], t["fc7.bias"]))
        return functional.linear(x, t["fc8.weight"], t["fc8.bias"])

    return forward, t


@pytest.mark.parametrize("dtype, lr, tolerance", [("float32", 0.0005, 1e-4), ("float64", 0.01, 1e-9)])
def test_twenty_steps_give_pytorchs_losses(torch, rng, dtype, lr, tolerance):
    """At 0.01 a rounding error that tips one ReLU or one maximum grows from step to step, and float32
    losses leave float64's by some percent, PyTorch's own too: so float32 is compared in small steps."""
    model = small(dropout=0.0, image_size=96, dtype=dtype)
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=0.0005)
    forward, theirs = torch_alexnet(torch, model.state_dict())
    their_optimizer = torch.optim.SGD(theirs.values(), lr=lr, momentum=0.9, weight_decay=0.0005)
    patterns = rng.standard_normal((10, 3, 6, 6)).repeat(16, 2).repeat(16, 3)
    batches = []
    for _ in range(5):
        noise, labels = batch(rng, 16, 96)
        batches.append(((patterns[labels] + 0.3 * noise).astype(dtype), labels))
    ours, expected = [], []
    for step in range(20):
        images, labels = batches[step % 5]
        loss = F.cross_entropy(model(tinynet.tensor(images)), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        ours.append(loss.item())
        their_optimizer.zero_grad()
        their_loss = torch.nn.functional.cross_entropy(forward(torch.tensor(images)), torch.tensor(labels))
        their_loss.backward()
        their_optimizer.step()
        expected.append(their_loss.item())
    assert expected[-1] < 0.95 * expected[0], "these steps must do something"
    np.testing.assert_allclose(ours, expected, rtol=tolerance)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_set_what_they_say(recipe):
    model, r = small(recipe=recipe), RECIPES[recipe]
    arrays = model.state_dict()
    for name in ("conv2", "conv3", "fc7", "fc8"):
        w = arrays[f"{name}.weight"]
        sd = r.std(name, np.prod(w.shape[1:]))
        assert abs(w.std() / sd - 1) < 6 / np.sqrt(2 * w.size)
        assert abs(w.mean()) < 5 * sd / np.sqrt(w.size)
        assert (arrays[f"{name}.bias"] == r.bias.get(name, 0)).all()
    assert model.lrn1.parts[0].alpha == r.lrn["alpha"] and model.lrn1.parts[0].k == r.lrn["k"]
    groups = r.parameter_groups(model, 0.01, 0.0005)
    assert sum(len(g["params"]) for g in groups) == 16
    assert groups[1]["lr"] == 0.01 * r.bias_lr
    assert groups[1]["weight_decay"] == (0.0005 if r.decay_biases else 0)


def test_the_recipes_are_told_apart_by_how_much_of_the_image_they_let_through(rng):
    """alexnet.md's order: the paper's text drowns the image in its biases, He's rule does not."""
    grain = rng.standard_normal((16, 3, 8, 8)).repeat(8, 2).repeat(8, 3)  # coarse, as photographs are
    share = {}
    for recipe in ("paper", "chm2012", "he"):
        r = RECIPES[recipe]
        model = small(recipe=recipe, width=0.5)
        share[recipe] = explain.signal_share(model, (58 * grain / r.pixel_std).astype("float32"))["fc8"]
    assert share["paper"] < share["chm2012"] < share["he"]


def test_the_first_broken_layer_is_named(rng):
    images, _ = batch(rng, 2)
    model = small()
    assert explain.first_not_finite(model, images) == "only the loss is not finite"
    model.conv3.parts[0].bias.data[:] = 3e38
    assert explain.first_not_finite(model, images).startswith("the output of conv4")
    model.conv3.parts[0].bias.data[0] = np.nan
    assert explain.first_not_finite(model, images) == "the gradient of conv3.bias was not finite in an earlier update"
    images[0, 0, 0, 0] = np.inf
    assert explain.first_not_finite(model, images) == "the images themselves are not finite"


def test_dropout_of_2012(rng):
    x = tinynet.tensor(1 + rng.random((50, 50)))
    layer = DropoutOf2012(0.3)
    y = layer(x).numpy()
    np.testing.assert_allclose(y[y != 0], x.numpy()[y != 0], rtol=1e-12)
    assert 0.2 < (y == 0).mean() < 0.4
    np.testing.assert_allclose(layer.eval()(x).numpy(), 0.7 * x.numpy(), rtol=1e-12)
    assert isinstance(small(recipe="paper").dropout6.parts[0], DropoutOf2012)
    assert not isinstance(small(recipe="he").dropout6.parts[0], DropoutOf2012)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"AlexNet: 3 devices cannot share groups=2 evenly"):
        AlexNet(devices=["cpu"] * 3)
    with pytest.raises(ValueError, match=r"AlexNet: devices must be of one kind, got cpu and emu:0"):
        AlexNet(devices=["cpu", "emu:0"])
    with pytest.raises(ValueError, match=r"AlexNet: devices must be of one kind, got none"):
        AlexNet(devices=[])
    with pytest.raises(ValueError, match=r"AlexNet: 4 devices cannot share the 10 outputs of conv1 evenly"):
        AlexNet(devices=["cpu"] * 4, width=0.1)
    with pytest.raises(ValueError, match=r"AlexNet: 4 devices cannot share the 10 outputs of fc8 evenly"):
        AlexNet(devices=["cpu"] * 4, split_fc8=True, **SMALL)
    message = r"AlexNet: lrn1 borrows 2 channels from a neighbor, and 4 devices have 1 each: more width"
    with pytest.raises(ValueError, match=message):
        small(["cpu"] * 4, width=0.05)
    AlexNet(devices=["cpu"] * 4, width=0.05, groups=4)  # each has a group of its own: none borrows
    with pytest.raises(ValueError, match=r"AlexNet: image_size must be at least 63, got 62"):
        AlexNet(image_size=62)
    with pytest.raises(ValueError, match=r"AlexNet: images must be \(N, 3, 64, 64\), got \(1, 3, 32, 32\)"):
        small()(tinynet.tensor(np.zeros((1, 3, 32, 32), "float32")))
    AlexNet(image_size=63, width=0.1)


def test_lenet_learns(rng):
    tinynet.manual_seed(0)
    model = LeNet()
    images = rng.standard_normal((20, 1, 28, 28)).astype("float32")
    labels = np.arange(20) % 10
    optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for _ in range(120):
        loss = F.cross_entropy(model(tinynet.tensor(images)), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.05
