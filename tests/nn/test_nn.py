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


NAMES = ["second.weight", "second.bias", "scale"]
NAMES += ["first.0.weight", "first.0.bias", "first.2.0.weight", "first.2.0.bias"]


class Cut(nn.Module):
    """Layers whose weights are parts of one array, and so are their biases, as on several devices."""

    def __init__(self, parts):
        self.parts = parts

    def named_arrays(self, prefix=""):
        for same in zip(*(part.named_arrays(prefix) for part in self.parts), strict=True):
            yield same[0][0], [parameter for _, parts in same for parameter in parts]


def test_names_come_in_the_order_of_definition():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_parameters("net")] == [f"net.{name}" for name in NAMES]
    assert list(net.state_dict()) == NAMES
    assert " ".join(name for name, _ in net.named_modules()) == " second first first.0 first.1 first.2 first.2.0"
    assert list(net.parameters())[2] is net.scale
    assert list(net.modules())[1] is net.second
    net.scale = None  # assigning again replaces
    assert list(net.state_dict()) == [name for name in NAMES if name != "scale"]


def test_a_shared_parameter_comes_once_but_is_saved_under_both_names():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert sorted(net.state_dict()) == ["0.bias", "0.weight", "1.bias", "1.weight"]


def test_module_list():
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    layers.append(nn.Sigmoid())
    assert len(layers) == 3
    assert [type(layer) for layer in layers] == [nn.ReLU, nn.Tanh, nn.Sigmoid]
    assert layers[-1] is list(layers)[2]
    assert layers.train()[0].training  # `training` among the attributes changes nothing
    assert len(layers) == 3


def test_train_and_eval_reach_every_module_inside_and_no_other():
    net, other = Net(), Net()
    for switch, training in ((lambda: net, True), (net.eval, False), (net.train, True)):
        assert switch() is net
        assert all(module.training is training for module in net.modules())
        assert all(module.training for module in [nn.Module, *other.modules()])


def test_gradients_come_and_go(device):
    net = Net()
    parameters = list(net.parameters())
    assert net.to(device) is net
    assert all(p.device == device and type(p) is nn.Parameter for p in net.parameters())
    net(tinynet.tensor([[1.0, 2.0]], device=device)).backward(np.ones((1, 3)))
    assert [name for name, p in net.named_parameters() if p.grad is not None] == NAMES[:5]
    net.to("cpu")
    assert all(isinstance(p.data, np.ndarray) for p in net.parameters())
    assert isinstance(net.scale.grad, np.ndarray)
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert all(p is q for p, q in zip(parameters, net.parameters(), strict=True))  # moving keeps the objects


NOT_A_PARAMETER = r"Linear.weight is a parameter: assign a Parameter or None, got {}"


def doubled(layer):
    layer.weight *= 2  # weight = weight * 2, which is a tensor that no optimizer knows


@pytest.mark.parametrize(
    "assign, error, message",
    [
        (doubled, TypeError, NOT_A_PARAMETER.format("Tensor")),
        (lambda layer: setattr(layer, "weight", tinynet.tensor([1.0])), TypeError, NOT_A_PARAMETER.format("Tensor")),
        (lambda layer: setattr(layer, "weight", np.ones(3)), TypeError, NOT_A_PARAMETER.format("ndarray")),
        (lambda layer: setattr(layer, "weight", 2.0), TypeError, NOT_A_PARAMETER.format("float")),
    ],
)
def test_a_parameter_is_not_lost_by_assigning_something_else(assign, error, message):
    layer = nn.Linear(3, 2)
    weight = layer.weight
    with pytest.raises(error, match=f"^{message}$"):
        assign(layer)
    assert layer.weight is weight
    net = nn.Sequential(layer)
    with pytest.raises(TypeError, match=r"^Sequential.0 is a module: assign a Module or None, got function$"):
        setattr(net, "0", F.relu)
    assert net[0] is layer


def test_what_may_be_assigned_is_what_pytorch_takes(torch):
    for library, layer in ((nn, nn.Linear(3, 2)), (torch.nn, torch.nn.Linear(3, 2))):
        layer.weight = library.Parameter(layer.weight * 2)
        layer.bias = None
        assert [name for name, _ in layer.named_parameters()] == ["weight"]
        layer.bias = library.Parameter(layer.weight[:, 0])
        del layer.bias
        assert not hasattr(layer, "bias")
        with pytest.raises(TypeError):
            layer.weight = library.Identity()
        layer.inner = library.Identity()
        layer.inner = library.ReLU()
        layer.inner = library.Parameter(layer.weight * 2)
        assert [name for name, _ in layer.named_parameters()] == ["weight", "inner"]
        layer.note, layer.training = layer.weight[0], False


BAD = [
    (lambda: Net().sceond, AttributeError, "'Net' object has no attribute 'sceond'"),
    (lambda: list(Cut([nn.ReLU()]).parameters()), TypeError, "Cut.parts is a list that holds parameters or modules"),
    (lambda: list(Cut((nn.ReLU(),)).parameters()), TypeError, "Cut.parts is a tuple that holds parameters or modules"),
    (lambda: nn.ModuleList().append(1), TypeError, "ModuleList holds modules, got int"),
    (lambda: Cut(None)(tinynet.tensor([1.0])), NotImplementedError, "Cut defines no forward"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "Conv2d: groups=2 must divide in_channels=3 and out_channels=4"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "Conv2d: groups=2 must divide in_channels=4 and out_channels=3"),
]


@pytest.mark.parametrize("bad, error, message", BAD)
def test_bad_use_is_named(bad, error, message):
    with pytest.raises(error, match=message):
        bad()


def test_repr():
    conv = "Conv2d(3, 4, kernel_size=(3, 2), stride=1, padding=0, dilation=1, groups=1, bias=True)"
    expected = f"Sequential(\n  (0): {conv}\n  (1): Sequential(\n    (0): ReLU()\n  )\n)"
    assert repr(nn.Sequential(nn.Conv2d(3, 4, (3, 2), groups=1), nn.Sequential(nn.ReLU()))) == expected
    assert repr(nn.Sequential(nn.ReLU(), nn.ReLU())) == "Sequential(\n  (0): ReLU()\n  (1): ReLU()\n)"
    alike = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sequential(nn.Tanh()), nn.Sequential(nn.Tanh()), nn.ReLU()])
    assert repr(alike) == """\
ModuleList(
  (0-1): 2 x ReLU()
  (2-3): 2 x Sequential(
    (0): Tanh()
  )
  (4): ReLU()
)"""


def test_state_dict_round_trip(device):
    net, other = Net().to(device), Net()
    saved, memory = net.state_dict(), [p.data for p in other.parameters()]
    assert all(type(array) is np.ndarray for array in saved.values())
    other.load_state_dict(saved)
    assert all(p.data is array for p, array in zip(other.parameters(), memory, strict=True))
    np.testing.assert_equal({name: p.data for name, p in other.named_parameters()}, saved)
    saved["scale"][...] = 7  # copies both ways
    assert (net.scale.numpy() == 1).all()
    assert (other.scale.data == 1).all()


def test_of_and_into_carry_another_array_of_each_parameter():
    net, other = Net(), Net()
    velocity = {p: np.full(p.shape, i, np.float32) for i, p in enumerate(net.parameters())}
    saved = net.state_dict(of=lambda parameter: velocity[parameter])
    assert saved["first.0.weight"].tolist() == [[3, 3]] * 4
    weights, received = other.state_dict(), {}
    other.load_state_dict(saved, into=received.__setitem__)
    assert list(received) == list(other.parameters())
    assert received[other.scale].tolist() == [2, 2, 2]
    np.testing.assert_equal(other.state_dict(), weights)


def test_an_array_in_parts_is_saved_and_loaded_whole(rng):
    first, second = nn.Linear(3, 2), nn.Linear(3, 4)
    net = nn.Sequential(Cut(nn.ModuleList([first, second])), nn.Linear(6, 1))
    saved = net.state_dict()
    shapes = {"0.weight": (6, 3), "0.bias": (6,), "1.weight": (1, 6), "1.bias": (1,)}
    assert {name: array.shape for name, array in saved.items()} == shapes
    np.testing.assert_array_equal(saved["0.weight"][:2], first.weight.data)
    np.testing.assert_array_equal(saved["0.weight"][2:], second.weight.data)
    whole = {name: rng.standard_normal(a.shape).astype("f4") for name, a in saved.items()}
    net.load_state_dict(whole)
    np.testing.assert_array_equal(second.weight.data, whole["0.weight"][2:])
    np.testing.assert_array_equal(first.bias.data, whole["0.bias"][:2])
    assert len(list(net.parameters())) == 6
    with pytest.raises(ValueError, match=r"0.weight: got shape \(5, 3\), expected \(6, 3\)"):
        net.load_state_dict(whole | {"0.weight": np.zeros((5, 3), np.float32)})


def test_what_does_not_fit_is_listed_and_changes_nothing():
    net = Net()
    before = net.state_dict()
    wrong = {name: array + 1 for name, array in before.items()}
    wrong |= {"extra.weight": wrong.pop("second.bias"), "scale": np.zeros((3, 1), np.float32)}
    with pytest.raises(ValueError) as error:
        net.load_state_dict(wrong)
    assert str(error.value) == (
        "load_state_dict: these arrays do not fit Net\n"
        "  missing: second.bias\n"
        "  unexpected: extra.weight\n"
        "  scale: got shape (3, 1), expected (3,)"
    )
    np.testing.assert_equal(net.state_dict(), before)


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
    ("CrossEntropyLoss", {}),
    ("CrossEntropyLoss", dict(ignore_index=1, reduction="sum", label_smoothing=0.2)),
    ("NLLLoss", {}),
    ("NLLLoss", dict(ignore_index=1, reduction="none")),
    ("MSELoss", {}),
    ("MSELoss", dict(reduction="sum")),
]


@pytest.mark.parametrize("name, how", LOSSES)
def test_losses_are_pytorchs(torch, rng, name, how):
    x, numbers, weight = rng.standard_normal((4, 3)), rng.standard_normal((4, 3)), rng.uniform(0.5, 2, 3)
    t = numbers if name == "MSELoss" else np.array([0, 1, 2, 2])
    for w in [{}] if name == "MSELoss" else [{}, dict(weight=weight)]:
        their_w = {key: torch.tensor(value) for key, value in w.items()}
        theirs = getattr(torch.nn, name)(**how, **their_w)(torch.tensor(x), torch.tensor(t))
        ours = getattr(nn, name)(**how, **w)(tinynet.tensor(x), tinynet.tensor(t))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


def test_grouped_normalization():
    x = tinynet.tensor(np.random.default_rng(0).standard_normal((1, 6, 2, 2)))
    expected = F.local_response_norm(x, 3, 0.5, 0.75, 2.0, 2).numpy()
    np.testing.assert_array_equal(nn.LocalResponseNorm(3, 0.5, 0.75, 2.0, groups=2)(x).numpy(), expected)
    assert (expected != F.local_response_norm(x, 3, 0.5, 0.75, 2.0, 1).numpy()).any()


def test_dropout_asks_for_the_mode():
    layer, x = nn.Dropout(0.5), tinynet.tensor(np.ones(1000, np.float32))
    tinynet.manual_seed(0)
    assert set(layer(x).numpy().tolist()) == {0.0, 2.0}
    assert set(layer.eval()(x).numpy().tolist()) == {1.0}


@pytest.mark.parametrize("make", [lambda: nn.Linear(50, 40), lambda: nn.Conv2d(8, 20, 3, groups=2)])
def test_default_weights_spread_evenly_as_pytorchs(make):
    tinynet.manual_seed(1)
    layer = make()
    bound = 1 / np.sqrt(np.prod(layer.weight.shape[1:]))
    for p in layer.parameters():
        for end in (-p.data.min(), p.data.max()):
            assert 0.8 * bound < end <= bound * (1 + 1e-6)
    assert abs(layer.weight.data.std() - bound / np.sqrt(3)) < 0.05 * bound
    tinynet.manual_seed(1)
    np.testing.assert_equal(make().state_dict(), layer.state_dict())
