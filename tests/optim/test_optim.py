import json

import numpy as np
import pytest

import tinynet
from tinynet import nn, optim

SHAPES = [(4, 3), (5,), (2, 3, 2), ()]

CASES = [
    ("SGD", dict(lr=0.1)),
    ("SGD", dict(lr=0.1, weight_decay=0.01)),
    ("SGD", dict(lr=0.1, momentum=0.9)),
    ("SGD", dict(lr=0.1, momentum=0.9, weight_decay=0.01)),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01)),
    ("SGD", dict(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)),
    ("Adam", dict()),
    ("Adam", dict(lr=0.01, betas=(0.8, 0.95), eps=1e-4)),
    ("Adam", dict(lr=0.01, weight_decay=0.1)),
]


def make_parameters(rng, dtype="float64", device="cpu", shapes=SHAPES):
    return [nn.Parameter(tinynet.tensor(a, dtype=dtype, device=device)) for a in draw(rng, shapes)]


def give(parameters, gradients):
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = None if g is None else tinynet.tensor(g, dtype=p.dtype, device=p.device).data


def step(optimizer, gradients):
    give(optimizer.parameters(), gradients)
    optimizer.step()


def draw(rng, shapes=SHAPES):
    return [np.asarray(rng.standard_normal(shape)) for shape in shapes]


def in_groups(parameters, lr):
    return [{"params": parameters[:2]}, {"params": parameters[2:], "lr": 2 * lr, "weight_decay": 0.05}]


@pytest.mark.parametrize("name, how", CASES)
@pytest.mark.parametrize("grouped", [False, True])
def test_step_by_step_as_pytorch(torch, rng, dtype, device, name, how, grouped):
    shapes = [*SHAPES, (200, 170)]  # the last is large enough for its update to run in blocks
    ours = make_parameters(rng, dtype, device, shapes)
    theirs = [torch.tensor(p.numpy(), requires_grad=True) for p in ours]
    split = (lambda ps: in_groups(ps, how.get("lr", 1e-3))) if grouped else (lambda ps: ps)
    a = getattr(optim, name)(split(ours), **how)
    b = getattr(torch.optim, name)(split(theirs), **how)
    tol = 1e-6 if dtype == np.float32 else 1e-12
    for t in range(6):
        gradients = draw(rng, shapes)
        if t == 0:
            gradients[1] = None  # has no gradient yet
        if t == 3:  # as a schedule would
            for group in [*a.param_groups, *b.param_groups]:
                group["lr"] *= 0.1
        for their, g in zip(theirs, gradients, strict=True):
            their.grad = None if g is None else torch.tensor(g.astype(dtype))
        step(a, gradients)
        b.step()
        for p, their in zip(ours, theirs, strict=True):
            assert p.dtype == dtype
            np.testing.assert_allclose(p.numpy(), their.detach().numpy(), rtol=tol, atol=tol)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_defaults_are_pytorchs(torch, name):
    ours = getattr(optim, name)([nn.Parameter(np.zeros(1))]).param_groups[0]
    theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).param_groups[0]
    both = ours.keys() & theirs.keys() - {"params"}
    assert {k: ours[k] for k in both} == {k: theirs[k] for k in both}
    assert ours.keys() - theirs.keys() == {"initial_lr"}


def test_defaults_are_the_papers():
    """Section 5: "momentum of 0.9, and weight decay of 0.0005"."""
    group = optim.PaperSGD([nn.Parameter(np.zeros(1))], 0.01).param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == (0.9, 0.0005)


@pytest.mark.parametrize("name, how", [*CASES, ("PaperSGD", dict(lr=0.1))])
def test_updates_are_in_place_and_leave_gradients_alone(rng, name, how):
    parameters, gradients = make_parameters(rng), draw(rng)
    memory = [p.data for p in parameters]
    step(getattr(optim, name)(parameters, **how), gradients)
    assert all(p.data is m for p, m in zip(parameters, memory, strict=True))
    np.testing.assert_equal([p.grad for p in parameters], gradients)


def test_paper_sgd_by_hand(device):
    p = nn.Parameter(tinynet.tensor([2.0, -1.0], dtype="float64", device=device))
    optimizer = optim.PaperSGD([p], lr=0.1, momentum=0.5, weight_decay=0.01)
    w, v = [2.0, -1.0], [0.0, 0.0]
    for gradient, lr in (((1.0, 3.0), 0.1), ((-2.0, 0.5), 0.1), ((0.5, 0.25), 0.01)):
        optimizer.param_groups[0]["lr"] = lr
        step(optimizer, [np.array(gradient)])
        for i in range(2):
            v[i] = 0.5 * v[i] - 0.01 * lr * w[i] - lr * gradient[i]
            w[i] = w[i] + v[i]
        np.testing.assert_allclose(p.numpy(), w, rtol=1e-14)
        np.testing.assert_allclose(tinynet.Tensor(optimizer.state[p]["velocity"]).numpy(), v, rtol=1e-13)


def test_both_forms_agree_until_the_rate_changes(rng):
    start = rng.standard_normal(5)
    papers, pytorchs = nn.Parameter(start.copy()), nn.Parameter(start.copy())
    how = dict(lr=0.1, momentum=0.9, weight_decay=0.01)
    paper, sgd = optim.PaperSGD([papers], **how), optim.SGD([pytorchs], **how)
    for _ in range(10):
        gradient = rng.standard_normal(5)
        step(paper, [gradient])
        step(sgd, [gradient])
        np.testing.assert_allclose(papers.data, pytorchs.data, rtol=1e-12)
        np.testing.assert_allclose(paper.state[papers]["velocity"], -0.1 * sgd.state[pytorchs]["velocity"], rtol=1e-12)
    before, coasting, gradient = papers.data.copy(), paper.state[papers]["velocity"].copy(), rng.standard_normal(5)
    for optimizer in (paper, sgd):
        optimizer.param_groups[0]["lr"] = 0.01
        step(optimizer, [gradient])
    new = 0.01 * (gradient + 0.01 * before)
    np.testing.assert_allclose(papers.data, before + 0.9 * coasting - new, rtol=1e-12)
    np.testing.assert_allclose(pytorchs.data, before + 0.09 * coasting - new, rtol=1e-12)


RESUMED = [
    ("SGD", dict(momentum=0.9, dampening=0.1, weight_decay=0.01)),
    ("PaperSGD", dict()),
    ("Adam", dict(weight_decay=0.01)),
]


@pytest.mark.parametrize("name, how", RESUMED)
def test_a_resumed_run_equals_a_straight_one_to_the_bit(rng, dtype, device, name, how):
    straight = make_parameters(rng, dtype, device)
    optimizer = getattr(optim, name)(in_groups(straight, 0.1), 0.1, **how)
    gradients = [[*draw(rng)[:3], None] for _ in range(6)]  # one parameter never moves
    for t, g in enumerate(gradients):
        if t == 3:
            optimizer.param_groups[1]["lr"] = 0.03
            weights, saved = [p.numpy().copy() for p in straight], optimizer.state_dict()
            saved["groups"] = json.loads(json.dumps(saved["groups"]))
        step(optimizer, g)
    resumed = [nn.Parameter(tinynet.tensor(w, device=device)) for w in weights]
    optimizer = getattr(optim, name)(in_groups(resumed, 0.1), 0.1, **how)
    optimizer.load_state_dict(saved)
    for g in gradients[3:]:
        step(optimizer, g)
    np.testing.assert_equal([p.numpy() for p in resumed], [p.numpy() for p in straight])


@pytest.mark.parametrize("make", [optim.SGD, optim.PaperSGD])
def test_velocity_is_saved_under_the_parameters_names(rng, make):
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    ours, velocities = make(model.parameters(), lr=0.1, momentum=0.9), {}
    step(ours, [rng.standard_normal((2, 3)), None])
    saved = model.state_dict(of=lambda parameter: ours.state.get(parameter, {}).get("velocity"))
    assert list(saved) == ["weight"]  # bias had no gradient
    np.testing.assert_array_equal(saved["weight"], ours.state[model.weight]["velocity"])
    other.load_state_dict(saved, into=velocities.__setitem__, strict=False)
    np.testing.assert_array_equal(velocities[other.weight], saved["weight"])
    with pytest.raises(ValueError, match="missing: bias"):
        other.load_state_dict(saved)


def test_a_velocity_shares_memory_with_neither_the_gradient_nor_what_is_saved():
    p = nn.Parameter(np.ones(3))
    optimizer = optim.SGD([p], 0.1, momentum=0.9)
    step(optimizer, [np.ones(3)])
    p.grad[...] = 100
    assert optimizer.state[p]["velocity"].tolist() == [1, 1, 1]
    saved = optimizer.state_dict()
    optimizer.step()
    assert saved["state"][0]["velocity"].tolist() == [1, 1, 1]
    optimizer.load_state_dict(saved)
    optimizer.step()
    assert saved["state"][0]["velocity"].tolist() == [1, 1, 1]


def test_what_does_not_fit_changes_nothing(rng):
    parameters = make_parameters(rng)
    optimizer = optim.PaperSGD(in_groups(parameters, 0.1), 0.1)
    step(optimizer, draw(rng))
    states = optimizer.state_dict()["state"]
    groups = [group | {"lr": 9.0} for group in optimizer.state_dict()["groups"]]
    wrong_shape = [states[0], {"velocity": np.zeros(6)}, *states[2:]]
    for bad_groups, bad_states, message in [
        (groups[:1], states, "PaperSGD: the saved groups have"),
        ([{"lr": 9.0}] * 2, states, "PaperSGD: the saved groups have"),
        (groups, states[:3], "saved for 3 parameters, there are 4"),
        (groups, wrong_shape, r"velocity of parameter 1 has shape \(6,\), expected \(5,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict({"groups": bad_groups, "state": bad_states})
        assert optimizer.param_groups[0]["lr"] == 0.1
        np.testing.assert_array_equal(optimizer.state[parameters[1]]["velocity"], states[1]["velocity"])


def test_zero_grad(rng):
    parameters = make_parameters(rng)
    before = [p.data.copy() for p in parameters]
    optimizer = optim.SGD(parameters, 0.1)
    give(parameters, draw(rng))
    optimizer.zero_grad()
    assert all(p.grad is None for p in parameters)
    optimizer.step()
    np.testing.assert_equal([p.data for p in parameters], before)


BAD = [
    (lambda p: optim.SGD([], 0.1), ValueError, r"SGD: there are no parameters to change"),
    (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}], 0.1), ValueError, r"SGD: a parameter comes twice"),
    (lambda p: optim.SGD([{"params": [p], "weight_decy": 0}], 0.1), ValueError,
     r"SGD: a group has no \['weight_decy'\]; it may have params, lr"),
    (lambda p: optim.SGD([p.data], 0.1), TypeError, r"SGD: params must be leaf tensors .* got ndarray"),
    (lambda p: optim.SGD([p.detach()], 0.1), TypeError, r"SGD: params must be leaf tensors .* got Tensor"),
    (lambda p: optim.SGD([p * 2], 0.1), TypeError, r"SGD: params must be leaf tensors .* got Tensor"),
    (lambda p: optim.Adam([p], -1), ValueError, r"Adam: lr must be 0 or more, got -1"),
    (lambda p: optim.PaperSGD([{"params": [p], "weight_decay": float("nan")}], 0.1), ValueError,
     r"PaperSGD: weight_decay must be finite, got nan"),
    (lambda p: optim.PaperSGD([p], 0.1, -0.9), ValueError, r"PaperSGD: momentum must be 0 or more, got -0.9"),
    (lambda p: optim.SGD([p], 0.1, -0.9), ValueError, r"SGD: momentum must be 0 or more, got -0.9"),
    (lambda p: optim.SGD([p], nesterov=True), ValueError, r"SGD: nesterov needs momentum above 0 and dampening 0"),
    (lambda p: optim.SGD([p], 1, 0.9, 0.1, 0, True), ValueError, r"SGD: nesterov needs .* above 0 and dampening 0"),
    (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, r"Adam: betas must be at least 0 and below 1, got"),
    (lambda p: optim.Adam([p], eps=-1), ValueError, r"Adam: eps must be 0 or more, got -1"),
]


@pytest.mark.parametrize("make, error, message", BAD)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make(nn.Parameter(np.zeros(3)))


ALL = [optim.SGD, optim.PaperSGD, optim.Adam]
GRADIENTS = [
    (lambda p: np.ones(1), ValueError, r"the gradient of parameter 1 \(group 1\) has shape \(1,\), expected \(5,\)"),
    (lambda p: np.ones((1, 5)), ValueError, r"parameter 1 \(group 1\) has shape \(1, 5\), expected \(5,\)"),
    (lambda p: np.ones(5, np.float32), TypeError, r"gradient of parameter 1 \(group 1\) is float32, expected float64"),
    (lambda p: tinynet.tensor(np.ones(5), device="emu:0").data, ValueError, "is on emu:0, expected cpu"),
    (lambda p: tinynet.tensor(np.ones(5)), TypeError, "the gradient of parameter 1 .* must be an array, got Tensor"),
    (lambda p: [1.0] * 5, TypeError, "the gradient of parameter 1 .* must be an array, got list"),
]


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("gradient, error, message", GRADIENTS)
@pytest.mark.parametrize("first", [np.ones(3), None])  # a parameter without a gradient is passed over
def test_a_gradient_that_does_not_fit_is_refused_before_anything_changes(make, gradient, error, message, first):
    parameters = [nn.Parameter(np.ones(3)), nn.Parameter(np.ones(5))]
    optimizer = make([{"params": parameters[:1]}, {"params": parameters[1:]}], lr=0.1)
    parameters[0].grad, parameters[1].grad = first, gradient(parameters[1])
    with pytest.raises(error, match=f"^{make.__name__}: .*{message}"):
        optimizer.step()
    assert all((p.data == 1).all() for p in parameters)
    assert not any(optimizer.state.values())
