import json

import numpy as np
import pytest

import tinynet
from tinynet import nn, optim

SHAPES = [(4, 3), (5,), (2, 3, 2), ()]
BIG = (200, 170)  # past the size where updates are cut into blocks

SGDS = [
    dict(lr=0.1),
    dict(lr=0.1, weight_decay=0.01),
    dict(lr=0.1, momentum=0.9),
    dict(lr=0.1, momentum=0.9, weight_decay=0.01),
    dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01),
    dict(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
]
ADAMS = [
    dict(),
    dict(lr=0.01, betas=(0.8, 0.95), eps=1e-4),
    dict(lr=0.01, weight_decay=0.1),
]
CASES = [("SGD", how) for how in SGDS] + [("Adam", how) for how in ADAMS]


def make_parameters(rng, dtype, device="cpu", shapes=SHAPES):
    return [
        nn.Parameter(tinynet.tensor(np.asarray(rng.standard_normal(s)), dtype=dtype, device=device))
        for s in shapes
    ]


def give(parameters, gradients):
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = None if g is None else tinynet.tensor(g, dtype=p.dtype, device=p.device).data


def draw(rng, shapes):
    return [np.asarray(rng.standard_normal(shape)) for shape in shapes]


def in_groups(parameters, lr):
    return [
        {"params": parameters[:2]},
        {"params": parameters[2:], "lr": 2 * lr, "weight_decay": 0.05},
    ]


@pytest.mark.parametrize("name, how", CASES)
@pytest.mark.parametrize("grouped", [False, True])
def test_step_by_step_as_pytorch(torch, rng, dtype, device, name, how, grouped):
    shapes = [*SHAPES, BIG]
    ours = make_parameters(rng, dtype, device, shapes)
    theirs = [torch.tensor(p.numpy(), requires_grad=True) for p in ours]
    split = (lambda ps: in_groups(ps, how.get("lr", 1e-3))) if grouped else (lambda ps: ps)
    a = getattr(optim, name)(split(ours), **how)
    b = getattr(torch.optim, name)(split(theirs), **how)
    tol = 1e-6 if dtype == np.float32 else 1e-12
    for step in range(6):
        gradients = draw(rng, shapes)
        if step == 0:
            gradients[1] = None  # joins later
        give(ours, gradients)
        for t, g in zip(theirs, gradients, strict=True):
            t.grad = None if g is None else torch.tensor(g.astype(dtype))
        if step == 3:  # a schedule's doing
            for group in [*a.param_groups, *b.param_groups]:
                group["lr"] *= 0.1
        a.step()
        b.step()
        for p, t in zip(ours, theirs, strict=True):
            assert p.dtype == dtype
            np.testing.assert_allclose(p.numpy(), t.detach().numpy(), rtol=tol, atol=tol)


def test_defaults_are_pytorchs(torch):
    p, t = nn.Parameter(np.zeros(1)), torch.zeros(1, requires_grad=True)
    for name in ("SGD", "Adam"):
        ours = getattr(optim, name)([p]).param_groups[0]
        theirs = getattr(torch.optim, name)([t]).param_groups[0]
        assert {k: theirs[k] for k in ours.keys() & theirs.keys() - {"params"}} == {
            k: ours[k] for k in ours.keys() & theirs.keys() - {"params"}
        }
        assert ours.keys() - theirs.keys() == {"initial_lr"}


def test_updates_are_in_place_and_leave_gradients_alone(rng):
    for make in (
        lambda ps: optim.SGD(ps, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
        lambda ps: optim.PaperSGD(ps, 0.1),
        lambda ps: optim.Adam(ps, 0.1, weight_decay=0.1),
    ):
        parameters = make_parameters(rng, "float64")
        gradients = draw(rng, SHAPES)
        optimizer = make(parameters)
        give(parameters, gradients)
        memory = [p.data for p in parameters]
        optimizer.step()
        for p, m, g in zip(parameters, memory, gradients, strict=True):
            assert p.data is m
            np.testing.assert_array_equal(p.grad, g)


def test_the_first_velocity_is_no_alias_of_the_gradient(rng):
    (p,) = parameters = make_parameters(rng, "float64", shapes=[(3,)])
    optimizer = optim.SGD(parameters, 0.1, momentum=0.9)
    give(parameters, [np.ones(3)])
    optimizer.step()
    p.grad[...] = 100
    assert optimizer.state[p]["velocity"].tolist() == [1, 1, 1]


# --------------------------------------------------------------------------- the paper's form


def test_paper_sgd_by_hand(device):
    p = nn.Parameter(tinynet.tensor([2.0, -1.0], dtype="float64", device=device))
    optimizer = optim.PaperSGD([p], lr=0.1, momentum=0.5, weight_decay=0.01)
    w, v = [2.0, -1.0], [0.0, 0.0]
    for gradient, lr in (((1.0, 3.0), 0.1), ((-2.0, 0.5), 0.1), ((0.5, 0.25), 0.01)):
        optimizer.param_groups[0]["lr"] = lr
        give([p], [np.array(gradient)])
        optimizer.step()
        for i in range(2):
            v[i] = 0.5 * v[i] - 0.01 * lr * w[i] - lr * gradient[i]
            w[i] = w[i] + v[i]
        np.testing.assert_allclose(p.numpy(), w, rtol=1e-14)
        velocity = tinynet.Tensor(optimizer.state[p]["velocity"]).numpy()
        np.testing.assert_allclose(velocity, v, rtol=1e-13)


def test_both_forms_agree_until_the_rate_changes(rng):
    start = rng.standard_normal(5)
    papers, pytorchs = nn.Parameter(start.copy()), nn.Parameter(start.copy())
    how = dict(lr=0.1, momentum=0.9, weight_decay=0.01)
    paper, sgd = optim.PaperSGD([papers], **how), optim.SGD([pytorchs], **how)

    def step():
        g = rng.standard_normal(5)
        give([papers, pytorchs], [g, g])
        paper.step()
        sgd.step()

    for _ in range(10):
        step()
        np.testing.assert_allclose(papers.data, pytorchs.data, rtol=1e-12)
        converted = -0.1 * sgd.velocity(pytorchs)
        np.testing.assert_allclose(paper.velocity(papers), converted, rtol=1e-12)
    coasting = paper.velocity(papers).copy()
    before = papers.data.copy()
    np.testing.assert_allclose(before, pytorchs.data, rtol=1e-12)
    for optimizer in (paper, sgd):
        optimizer.param_groups[0]["lr"] = 0.01
    gradient = rng.standard_normal(5)
    give([papers, pytorchs], [gradient, gradient])
    paper.step()
    sgd.step()
    new = 0.01 * (gradient + 0.01 * before)
    np.testing.assert_allclose(papers.data, before + 0.9 * coasting - new, rtol=1e-12)
    np.testing.assert_allclose(pytorchs.data, before + 0.09 * coasting - new, rtol=1e-12)


# --------------------------------------------------------------------------- saving and loading

RESUMED = [
    lambda ps: optim.SGD(in_groups(ps, 0.1), 0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    lambda ps: optim.PaperSGD(in_groups(ps, 0.1), 0.1),
    lambda ps: optim.Adam(in_groups(ps, 0.1), 0.1, weight_decay=0.01),
]


@pytest.mark.parametrize("make", RESUMED)
def test_a_resumed_run_equals_a_straight_one_to_the_bit(rng, dtype, device, make):
    straight = make_parameters(rng, dtype, device)
    optimizer = make(straight)
    gradients = [draw(rng, SHAPES) for _ in range(6)]
    for g in gradients:
        g[3] = None  # one parameter never moves
    for step, g in enumerate(gradients):
        if step == 3:
            optimizer.param_groups[1]["lr"] = 0.03
            weights, saved = [p.numpy().copy() for p in straight], optimizer.state_dict()
            saved["groups"] = json.loads(json.dumps(saved["groups"]))
        give(straight, g)
        optimizer.step()
    resumed = [nn.Parameter(tinynet.tensor(w, device=device)) for w in weights]
    optimizer = make(resumed)
    optimizer.load_state_dict(saved)
    for g in gradients[3:]:
        give(resumed, g)
        optimizer.step()
    for p, q in zip(straight, resumed, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@pytest.mark.parametrize("make", [optim.SGD, optim.PaperSGD])
def test_velocity_travels_under_the_parameters_names(rng, make):
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    ours, theirs = (make(m.parameters(), lr=0.1, momentum=0.9) for m in (model, other))
    give(model.parameters(), [rng.standard_normal((2, 3)), None])
    ours.step()
    saved = model.state_dict(of=ours.velocity)
    np.testing.assert_array_equal(saved["weight"], ours.state[model.weight]["velocity"])
    assert saved["bias"].tolist() == [0, 0]
    other.load_state_dict(saved, into=theirs.set_velocity)
    np.testing.assert_array_equal(theirs.state[other.weight]["velocity"], saved["weight"])
    assert theirs.state[other.weight]["velocity"] is not saved["weight"]


def test_state_dict_holds_copies(rng):
    parameters = make_parameters(rng, "float64", shapes=[(3,)])
    optimizer = optim.PaperSGD(parameters, 0.1)
    give(parameters, [np.ones(3)])
    optimizer.step()
    saved = optimizer.state_dict()
    before = saved["state"][0]["velocity"].copy()
    optimizer.step()
    np.testing.assert_array_equal(saved["state"][0]["velocity"], before)
    optimizer.load_state_dict(saved)
    optimizer.step()
    np.testing.assert_array_equal(saved["state"][0]["velocity"], before)


def test_what_does_not_fit_changes_nothing(rng):
    parameters = make_parameters(rng, "float64")
    optimizer = optim.PaperSGD(in_groups(parameters, 0.1), 0.1)
    give(parameters, draw(rng, SHAPES))
    optimizer.step()
    good = optimizer.state_dict()
    wrong_shape = [dict(state) for state in good["state"]]
    wrong_shape[1] = {"velocity": np.zeros(6)}
    changed = [group | {"lr": 9.0} for group in good["groups"]]
    for bad, message in [
        ({"groups": changed[:1], "state": good["state"]}, "PaperSGD: the saved groups have"),
        ({"groups": [{"lr": 9.0}] * 2, "state": good["state"]}, "PaperSGD: the saved groups have"),
        ({"groups": changed, "state": good["state"][:3]}, "saved for 3 parameters, there are 4"),
        (
            {"groups": changed, "state": wrong_shape},
            r"velocity of parameter 1 has shape \(6,\), expected \(5,\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(bad)
        assert optimizer.param_groups[0]["lr"] == 0.1
        velocity = optimizer.state[parameters[1]]["velocity"]
        np.testing.assert_array_equal(velocity, good["state"][1]["velocity"])


# --------------------------------------------------------------------------- arguments


def test_zero_grad(rng):
    parameters = make_parameters(rng, "float64")
    optimizer = optim.SGD(parameters, 0.1)
    give(parameters, draw(rng, SHAPES))
    optimizer.zero_grad()
    assert all(p.grad is None for p in parameters)
    before = [p.data.copy() for p in parameters]
    optimizer.step()
    for p, w in zip(parameters, before, strict=True):
        np.testing.assert_array_equal(p.data, w)


def test_bad_arguments_are_named():
    p = nn.Parameter(np.zeros(3))
    with pytest.raises(ValueError, match=r"SGD: there are no parameters to change"):
        optim.SGD([], 0.1)
    with pytest.raises(ValueError, match=r"SGD: a parameter comes twice"):
        optim.SGD([{"params": [p]}, {"params": [p]}], 0.1)
    message = r"SGD: a group has no \['weight_decy'\]; it may have params, lr"
    with pytest.raises(ValueError, match=message):
        optim.SGD([{"params": [p], "weight_decy": 0}], 0.1)
    with pytest.raises(TypeError, match=r"SGD: params must be leaf tensors .* got ndarray"):
        optim.SGD([p.data], 0.1)
    with pytest.raises(TypeError, match=r"SGD: params must be leaf tensors .* got Tensor"):
        optim.SGD([p.detach()], 0.1)
    with pytest.raises(ValueError, match=r"Adam: lr must be 0 or more, got -1"):
        optim.Adam([p], -1)
    with pytest.raises(ValueError, match=r"PaperSGD: weight_decay must be 0 or more, got nan"):
        optim.PaperSGD([{"params": [p], "weight_decay": float("nan")}], 0.1)
    with pytest.raises(ValueError, match=r"PaperSGD: momentum must be 0 or more, got -0.9"):
        optim.PaperSGD([p], 0.1, momentum=-0.9)
    with pytest.raises(ValueError, match=r"SGD: momentum must be 0 or more, got -0.9"):
        optim.SGD([p], 0.1, momentum=-0.9)
    with pytest.raises(ValueError, match=r"SGD: nesterov needs momentum above 0 and dampening 0"):
        optim.SGD([p], 0.1, nesterov=True)
    with pytest.raises(ValueError, match=r"Adam: betas must be from 0 to below 1, got"):
        optim.Adam([p], betas=(0.9, 1.0))
    with pytest.raises(ValueError, match=r"Adam: eps must be 0 or more, got -1"):
        optim.Adam([p], eps=-1)
