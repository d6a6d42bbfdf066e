import numpy as np
import pytest

import tinynet
from compare import tolerance
from tinynet import functional as F
from tinynet import nn


class Net(nn.Module):
    def __init__(self):
        self.second = nn.Linear(4, 3)
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.note = "not a parameter"
        self.first = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.ModuleList([nn.Linear(4, 4)]))

    def forward(self, x):
        return self.second(F.relu(self.first[0](x))) * self.scale


NAMES = [
    "second.weight",
    "second.bias",
    "scale",
    "first.0.weight",
    "first.0.bias",
    "first.2.0.weight",
    "first.2.0.bias",
]


class Halves(nn.Module):
    """Two parts that are one array each of weight and bias, as layers on two devices are."""

    def __init__(self):
        self.parts = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 4)])

    def named_arrays(self, prefix=""):
        for same in zip(*(part.named_arrays(prefix) for part in self.parts), strict=True):
            yield same[0][0], [parameter for _, parts in same for parameter in parts]


class Whole(nn.Module):
    def __init__(self):
        self.fc = Halves()
        self.last = nn.Linear(6, 1)


# --------------------------------------------------------------------------- modules


def test_names_come_in_the_order_of_definition():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_parameters("net")] == [f"net.{name}" for name in NAMES]
    assert list(net.state_dict()) == NAMES
    assert [name for name, _ in net.named_modules()] == [
        "", "second", "first", "first.0", "first.1", "first.2", "first.2.0",
    ]  # fmt: skip
    assert list(net.parameters())[2] is net.scale
    assert list(net.modules())[1] is net.second


def test_a_shared_parameter_comes_once_but_is_saved_under_both_names():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert sorted(net.state_dict()) == ["0.bias", "0.weight", "1.bias", "1.weight"]


def test_assigning_again_replaces():
    net = Net()
    net.scale = None
    assert "scale" not in net.state_dict()


def test_a_typo_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'Net' object has no attribute 'sceond'"):
        Net().sceond  # noqa: B018


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_plain_list_of_modules_is_refused(kind):
    net = nn.Module()
    net.layers = kind([nn.ReLU()])
    message = f"Module.layers is a {kind.__name__} that holds parameters or modules"
    with pytest.raises(TypeError, match=message):
        list(net.parameters())


def test_module_list():
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    layers.append(nn.Sigmoid())
    assert len(layers) == 3
    assert [type(layer) for layer in layers] == [nn.ReLU, nn.Tanh, nn.Sigmoid]
    assert layers[-1] is list(layers)[2]
    assert layers.train()[0].training  # `training` among the attributes changes nothing
    assert len(layers) == 3
    with pytest.raises(TypeError, match=r"ModuleList holds modules, got int"):
        layers.append(1)


def test_train_and_eval_reach_every_module():
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())
    assert nn.Module.training


def test_gradients_come_and_go(device):
    net = Net().to(device)
    assert all(p.device == device and type(p) is nn.Parameter for p in net.parameters())
    net(tinynet.tensor([[1.0, 2.0]], device=device)).backward(np.ones((1, 3)))
    with_gradient = [name for name, p in net.named_parameters() if p.grad is not None]
    assert with_gradient == NAMES[:5]
    net.to("cpu")
    assert all(isinstance(p.data, np.ndarray) for p in net.parameters())
    assert isinstance(net.scale.grad, np.ndarray)
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_moving_keeps_the_parameters_themselves():
    net = Net()
    before = list(net.parameters())
    assert net.to("cpu") is net
    assert all(p is q for p, q in zip(before, net.parameters(), strict=True))


def test_a_module_without_forward():
    class Nothing(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing defines no forward"):
        Nothing()(tinynet.tensor([1.0]))


def test_repr():
    assert repr(nn.Sequential(nn.Conv2d(3, 4, (3, 2), groups=1), nn.Sequential(nn.ReLU()))) == (
        "Sequential(\n"
        "  (0): Conv2d(3, 4, kernel_size=(3, 2), "
        "stride=1, padding=0, dilation=1, groups=1, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "  )\n"
        ")"
    )


# --------------------------------------------------------------------------- saving and loading


def test_state_dict_round_trip(device):
    net, other = Net().to(device), Net()
    saved = net.state_dict()
    assert all(type(array) is np.ndarray for array in saved.values())
    other.load_state_dict(saved)
    for name, parameter in other.named_parameters():
        np.testing.assert_array_equal(parameter.data, saved[name])
    saved["scale"][...] = 7  # copies both ways
    assert (net.scale.numpy() == 1).all()
    assert (other.scale.data == 1).all()


def test_loading_writes_into_the_arrays_that_are_there():
    net = Net()
    memory = [p.data for p in net.parameters()]
    net.load_state_dict(Net().state_dict())
    assert all(p.data is array for p, array in zip(net.parameters(), memory, strict=True))


def test_of_and_into_carry_another_array_of_each_parameter():
    net, other = Net(), Net()
    velocity = {p: np.full(p.shape, i, np.float32) for i, p in enumerate(net.parameters())}
    saved = net.state_dict(of=lambda parameter: velocity[parameter])
    assert saved["first.0.weight"].tolist() == [[3, 3]] * 4
    weights, received = other.state_dict(), {}
    other.load_state_dict(saved, into=received.__setitem__)
    assert list(received) == list(other.parameters())
    assert received[other.scale].tolist() == [2, 2, 2]
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, weights[name])


def test_an_array_in_parts_is_saved_and_loaded_whole(rng):
    net = Whole()
    saved = net.state_dict()
    assert {name: array.shape for name, array in saved.items()} == {
        "fc.weight": (6, 3), "fc.bias": (6,), "last.weight": (1, 6), "last.bias": (1,),
    }  # fmt: skip
    np.testing.assert_array_equal(saved["fc.weight"][:2], net.fc.parts[0].weight.data)
    np.testing.assert_array_equal(saved["fc.weight"][2:], net.fc.parts[1].weight.data)
    whole = {name: rng.standard_normal(a.shape).astype("f4") for name, a in saved.items()}
    net.load_state_dict(whole)
    np.testing.assert_array_equal(net.fc.parts[1].weight.data, whole["fc.weight"][2:])
    np.testing.assert_array_equal(net.fc.parts[0].bias.data, whole["fc.bias"][:2])
    assert len(list(net.parameters())) == 6
    with pytest.raises(ValueError, match=r"fc.weight: got shape \(5, 3\), expected \(6, 3\)"):
        net.load_state_dict(whole | {"fc.weight": np.zeros((5, 3), np.float32)})


def test_what_does_not_fit_is_listed_and_changes_nothing():
    net = Net()
    before = net.state_dict()
    wrong = {name: array + 1 for name, array in before.items()}
    wrong["extra.weight"] = wrong.pop("second.bias")
    wrong["scale"] = np.zeros((3, 1), np.float32)
    with pytest.raises(ValueError) as error:
        net.load_state_dict(wrong)
    assert str(error.value) == (
        "load_state_dict: these arrays do not fit Net\n"
        "  missing: second.bias\n"
        "  unexpected: extra.weight\n"
        "  scale: got shape (3, 1), expected (3,)"
    )
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# --------------------------------------------------------------------------- layers

LAYERS = [
    ("Linear", (4, 3), {}, (5, 4)),
    ("Linear", (4, 3), dict(bias=False), (2, 5, 4)),
    ("Conv2d", (4, 6, 3), dict(stride=2, padding=(1, 0)), (2, 4, 7, 8)),
    ("Conv2d", (4, 6, (3, 2)), dict(groups=2, dilation=2, bias=False), (2, 4, 7, 8)),
    ("ReLU", (), {}, (3, 4)),
    ("LeakyReLU", (), {}, (3, 4)),
    ("LeakyReLU", (0.2,), {}, (3, 4)),
    ("Sigmoid", (), {}, (3, 4)),
    ("Tanh", (), {}, (3, 4)),
    ("Softmax", (1,), {}, (3, 4)),
    ("LogSoftmax", (), dict(dim=-1), (3, 4)),
    ("MaxPool2d", (3, 2, 1), dict(ceil_mode=True), (2, 3, 8, 8)),
    ("MaxPool2d", (2,), dict(dilation=2), (2, 3, 8, 8)),
    ("AvgPool2d", (3, 2, 1, True, False), {}, (2, 3, 8, 8)),
    ("AvgPool2d", (2,), {}, (2, 3, 8, 8)),
    ("AdaptiveAvgPool2d", ((3, 2),), {}, (2, 3, 8, 8)),
    ("LocalResponseNorm", (5, 0.5, 0.6, 2.0), {}, (2, 7, 3, 3)),
    ("LocalResponseNorm", (3,), {}, (2, 7, 3, 3)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (0, 1), {}, (2, 3, 4)),
    ("Identity", (), {}, (2, 3)),
]


@pytest.mark.parametrize("name, args, kwargs, shape", LAYERS)
def test_layers_are_pytorchs(torch, rng, device, name, args, kwargs, shape):
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    expected = {key: value.numpy() for key, value in theirs.state_dict().items()}
    got = ours.state_dict()
    assert {k: v.shape for k, v in got.items()} == {k: v.shape for k, v in expected.items()}
    assert all(array.dtype == np.float32 for array in got.values())
    ours.to(device).load_state_dict(expected)
    x = rng.standard_normal(shape).astype(np.float32)
    y = ours(tinynet.tensor(x, device=device)).numpy()
    np.testing.assert_allclose(y, theirs(torch.tensor(x)).detach().numpy(), **tolerance(y.dtype))


LOSSES = [
    ("CrossEntropyLoss", {}, "classes"),
    ("CrossEntropyLoss", dict(ignore_index=1, reduction="sum", label_smoothing=0.2), "classes"),
    ("NLLLoss", {}, "classes"),
    ("NLLLoss", dict(ignore_index=1, reduction="none"), "classes"),
    ("MSELoss", {}, "numbers"),
    ("MSELoss", dict(reduction="sum"), "numbers"),
]


@pytest.mark.parametrize("name, kwargs, kind", LOSSES)
def test_losses_are_pytorchs(torch, rng, name, kwargs, kind):
    x = rng.standard_normal((4, 3))
    t = np.array([0, 1, 2, 2]) if kind == "classes" else rng.standard_normal((4, 3))
    weight = rng.uniform(0.5, 2, 3)
    for w in [{}] if kind == "numbers" else [{}, dict(weight=weight)]:
        their_w = {key: torch.tensor(value) for key, value in w.items()}
        theirs = getattr(torch.nn, name)(**kwargs, **their_w)(torch.tensor(x), torch.tensor(t))
        ours = getattr(nn, name)(**kwargs, **w)(tinynet.tensor(x), tinynet.tensor(t))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


def test_grouped_normalization():
    layer = nn.LocalResponseNorm(3, 0.5, 0.75, 2.0, groups=2)
    x = tinynet.tensor(np.random.default_rng(0).standard_normal((1, 6, 2, 2)))
    expected = F.local_response_norm(x, 3, 0.5, 0.75, 2.0, 2).numpy()
    np.testing.assert_array_equal(layer(x).numpy(), expected)
    assert (expected != F.local_response_norm(x, 3, 0.5, 0.75, 2.0, 1).numpy()).any()


def test_dropout_asks_for_the_mode():
    layer, x = nn.Dropout(0.5), tinynet.tensor(np.ones(1000, np.float32))
    tinynet.manual_seed(0)
    assert set(layer(x).numpy().tolist()) == {0.0, 2.0}
    assert set(layer.eval()(x).numpy().tolist()) == {1.0}


def test_groups_must_divide_the_channels():
    with pytest.raises(ValueError, match=r"Conv2d: groups=2 must divide in_channels=3"):
        nn.Conv2d(3, 4, 3, groups=2)


@pytest.mark.parametrize("make", [lambda: nn.Linear(50, 40), lambda: nn.Conv2d(8, 20, 3, groups=2)])
def test_default_weights_spread_evenly_as_pytorchs(make):
    tinynet.manual_seed(1)
    layer = make()
    bound = 1 / np.sqrt(np.prod(layer.weight.shape[1:]))
    for p in layer.parameters():
        assert np.abs(p.data).max() <= bound * (1 + 1e-6)
        assert np.abs(p.data).max() > 0.8 * bound
    assert abs(layer.weight.data.std() - bound / np.sqrt(3)) < 0.05 * bound
    tinynet.manual_seed(1)
    again = make()
    for p, q in zip(layer.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
