"""Arguments of a wrong type or out of range: one line that names the class and the argument, and nothing changed."""

import json
import math

import numpy as np
import pytest

import tinynet
from tinynet import nn, optim

nan, inf = math.nan, math.inf
NOT_NUMBERS = ["0.1", None, True, [0.1], 0.1j, np.array(0.1), np.array([0.1]), np.bool_(True)]

# class: {argument: values out of range, beyond nan and inf}
NUMBERS = {
    "SGD": {"lr": [-1], "momentum": [-0.1], "dampening": [], "weight_decay": [-1]},
    "PaperSGD": {"lr": [-1], "momentum": [-0.1], "weight_decay": [-1]},
    "Adam": {"lr": [-1], "eps": [-1], "weight_decay": [-1]},
    "StepLR": {"gamma": [-0.1]},
    "MultiStepLR": {"gamma": [-0.1]},
    "CosineAnnealingLR": {"eta_min": [-1]},
    "LinearWarmup": {"start_factor": [], "end_factor": []},
    "ReduceLROnPlateau": {"factor": [-0.1, 1, 2], "threshold": [-1], "min_lr": [-1], "eps": [-1]},
}
INTEGERS = {  # and the smallest value allowed
    "StepLR": {"step_size": 1},
    "CosineAnnealingLR": {"T_max": 1},
    "LinearWarmup": {"total_iters": 1},
    "ReduceLROnPlateau": {"patience": 0, "cooldown": 0},
}
REQUIRED = {"PaperSGD": dict(lr=0.1), "StepLR": dict(step_size=2), "MultiStepLR": dict(milestones=[2]),
            "CosineAnnealingLR": dict(T_max=3)}  # fmt: skip


def make(name, **how):
    """An optimizer, or a schedule of one."""
    first = [nn.Parameter(np.zeros(3))]
    if name.startswith(("Step", "Multi", "Cosine", "Linear", "Reduce")):
        first = optim.SGD(first, lr=0.1)
    return getattr(optim, name)(first, **{**REQUIRED.get(name, {}), **how})


WRONG = [(name, argument, x, TypeError, "must be a number")
         for name, arguments in NUMBERS.items() for argument in arguments for x in NOT_NUMBERS]  # fmt: skip
WRONG += [(name, argument, x, ValueError, "must be finite")
          for name, arguments in NUMBERS.items() for argument in arguments for x in (nan, inf, -inf)]  # fmt: skip
WRONG += [(name, argument, x, ValueError, "must be")
          for name, arguments in NUMBERS.items() for argument, bad in arguments.items() for x in bad]  # fmt: skip
WRONG += [(name, argument, x, TypeError, "must be an integer")
          for name, arguments in INTEGERS.items() for argument in arguments
          for x in (*NOT_NUMBERS, 2.5, 3.0, nan, inf)]  # fmt: skip
WRONG += [(name, argument, least - 1, ValueError, f"must be {least} or more")
          for name, arguments in INTEGERS.items() for argument, least in arguments.items()]  # fmt: skip
WRONG += [
    *[("MultiStepLR", "milestones", x, TypeError, "must be a list of integers") for x in (3, None, "3", 0.5, {3: 1})],
    *[("MultiStepLR", "milestones", [1, x], TypeError, "must be an integer") for x in ("2", 2.5, None, True, nan)],
    ("MultiStepLR", "milestones", [1, -2], ValueError, "must be 0 or more"),
    *[("Adam", "betas", x, TypeError, "must be a pair of numbers") for x in (0.9, None, "ab", (0.9,), (0.9,) * 3)],
    *[("Adam", "betas", (0.9, x), TypeError, "must be a number") for x in NOT_NUMBERS],
    *[("Adam", "betas", (x, 0.9), ValueError, "must be") for x in (nan, inf, 1.0, -0.1)],
    *[("SGD", "nesterov", x, TypeError, "must be True or False") for x in ("yes", None, 1, [])],
    *[("ReduceLROnPlateau", "mode", x, ValueError, "must be 'min' or 'max'") for x in ("MIN", None, 1, ["min"])],
    *[("ReduceLROnPlateau", "threshold_mode", x, ValueError, "must be 'rel' or 'abs'") for x in (None, 1, ["rel"])],
]


@pytest.mark.parametrize("name, argument, value, error, message", WRONG)
def test_a_wrong_argument_is_named(name, argument, value, error, message):
    with pytest.raises(error, match=f"^{name}: {argument}.* {message}") as raised:
        make(name, **{argument: value})
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(f"got {value!r}") or isinstance(value, list | tuple)


@pytest.mark.parametrize("name", ["SGD", "PaperSGD", "Adam"])
def test_a_group_and_what_is_loaded_are_checked_as_well(name):
    p = nn.Parameter(np.zeros(3))
    for value, error in [("0.1", TypeError), (nan, ValueError), (inf, ValueError), (-1, ValueError)]:
        with pytest.raises(error, match=f"^{name}: lr must be"):
            getattr(optim, name)([{"params": [p], "lr": value}], 0.1)
        optimizer = getattr(optim, name)([p], 0.1)
        saved = optimizer.state_dict()
        for key in ("lr", "initial_lr"):
            wrong = [saved["groups"][0] | {key: value}]
            with pytest.raises(error, match=f"^{name}: {key} must be"):
                optimizer.load_state_dict({"groups": wrong, "state": [{}]})
        assert optimizer.param_groups[0]["lr"] == 0.1


PARAMS = [
    *[(x, "must be tensors, or dicts of them, got ")
      for x in (5, None, "ab", nn.Linear(2, 2), nn.Parameter(np.ones(2)))],
    ({nn.Parameter(np.ones(2))}, "must be in an order, got set"),
    ([1, 2], "must be leaf tensors with requires_grad=True, got int"),
    ([nn.Parameter(np.ones(2)), {"params": []}], "must be leaf tensors with requires_grad=True, got dict"),
    ([{"params": [nn.Parameter(np.ones(2))]}, nn.Parameter(np.ones(2))], "group 1 must be a dict, got Parameter"),
    ([{"lr": 0.1}], r"group 0 has no 'params'"),
    ([{"params": 5}], "must be tensors, or dicts of them, got int"),
    ([{"params": nn.Linear(2, 2)}], "must be tensors, or dicts of them, got Linear"),
]


@pytest.mark.parametrize("name", ["SGD", "PaperSGD", "Adam"])
@pytest.mark.parametrize("params, message", PARAMS)
def test_params_of_a_wrong_type(name, params, message):
    with pytest.raises((TypeError, ValueError), match=f"^{name}: (params )?{message}"):
        getattr(optim, name)(params, lr=0.1)


SAVED = [5, None, {}, {"groups": []}, {"groups": 3, "state": 4}, {"groups": [1], "state": [2]}]


@pytest.mark.parametrize("saved", [*SAVED, {"groups": [], "state": []}])
def test_a_state_of_a_wrong_type(saved):
    for name in ("SGD", "PaperSGD", "Adam"):
        with pytest.raises((TypeError, ValueError), match=f"^{name}: "):
            make(name).load_state_dict(saved)
    for name in ("StepLR", "MultiStepLR", "CosineAnnealingLR", "LinearWarmup", "ReduceLROnPlateau"):
        with pytest.raises((TypeError, ValueError), match=f"^{name}: "):
            make(name).load_state_dict(saved)


def test_values_of_a_wrong_type_in_a_state_change_nothing():
    schedule, optimizer = make("StepLR"), make("SGD", momentum=0.9)
    for wrong in (dict(t="1"), dict(t=-1), dict(t=1.5), dict(rates=["0.1"]), dict(rates=[nan]), dict(rates=0.1)):
        with pytest.raises((TypeError, ValueError), match=r"^StepLR: "):
            schedule.load_state_dict(schedule.state_dict() | wrong)
        assert schedule.state_dict() == {"t": 0, "rates": [0.1]}
    for state in ({"velocity": "ab"}, {"velocity": None}, 5, [1]):
        with pytest.raises((TypeError, ValueError), match=r"^SGD: "):
            optimizer.load_state_dict(optimizer.state_dict() | {"state": [state]})
        assert optimizer.state == {}


@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "CosineAnnealingLR", "LinearWarmup", "ReduceLROnPlateau"])
def test_a_schedule_needs_an_optimizer(name):
    for wrong in (None, 0.1, nn.Linear(2, 2), optim.SGD):
        with pytest.raises(TypeError, match=f"^{name}: optimizer must be an Optimizer, got {type(wrong).__name__}$"):
            getattr(optim, name)(wrong, **REQUIRED.get(name, {}))


@pytest.mark.parametrize("metric", ["0.5", True, [0.5], {}, 1j, np.ones(2), tinynet.tensor([1.0, 2.0])])
def test_a_metric_is_one_number(metric):
    schedule = make("ReduceLROnPlateau")
    with pytest.raises(TypeError, match=r"^ReduceLROnPlateau: metric must be one number, got"):
        schedule.step(metric)
    assert schedule.t == 0
    numpys = np.float32(0.4), np.array(0.3), np.array([0.3])
    for fine in (1, 0.5, *numpys, tinynet.tensor(0.2), tinynet.tensor([0.1]), nan, inf):
        schedule.step(fine)


def test_a_floor_needs_a_rate():
    optimizer = optim.SGD([nn.Parameter(np.zeros(3))], lr=0.0)
    with pytest.raises(ValueError, match=r"^CosineAnnealingLR: eta_min=0.1 needs an optimizer whose lr is above 0$"):
        optim.CosineAnnealingLR(optimizer, 3, eta_min=0.1)


def test_numpys_numbers_become_pythons():
    """A float64 scalar of NumPy would make every float32 product float64, and float32 is not JSON."""
    optimizer = make("Adam", lr=np.float64(0.1), betas=[np.float32(0.5), 0.9], eps=np.float32(0.5))
    group = optimizer.param_groups[0]
    assert [type(x) for x in (group["lr"], *group["betas"], group["eps"])] == [float] * 4
    assert type(group["betas"]) is tuple
    schedule = optim.StepLR(optimizer, np.int64(3), gamma=np.float32(0.5))
    schedule.step()
    json.dumps([optimizer.state_dict()["groups"], schedule.state_dict()])
    assert optim.SGD(iter([nn.Parameter(np.zeros(3))]), lr=1, nesterov=np.bool_(False)).param_groups[0]["lr"] == 1
