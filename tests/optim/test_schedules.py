import inspect
import json
import math

import numpy as np
import pytest

from tinynet import nn, optim


def make_optimizer(sgd=optim.SGD, zeros=lambda n: nn.Parameter(np.zeros(n))):
    """Two groups, the second at twice the rate of the first."""
    return sgd([{"params": [zeros(2)]}, {"params": [zeros(3)], "lr": 0.4}], 0.2)


def their_optimizer(torch):
    return make_optimizer(torch.optim.SGD, lambda n: torch.zeros(n, requires_grad=True))


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


SCHEDULES = [  # the schedules that drive one optimizer together
    [("StepLR", dict(step_size=3))],
    [("StepLR", dict(step_size=2, gamma=0.7))],
    [("MultiStepLR", dict(milestones=[7, 2, 7, 11], gamma=0.5))],
    [("MultiStepLR", dict(milestones=[0, 1]))],
    [("CosineAnnealingLR", dict(T_max=8))],
    [("LinearWarmup", dict())],
    [("LinearWarmup", dict(start_factor=0.1, end_factor=0.8, total_iters=7))],
    [("LinearWarmup", dict(start_factor=0.1, total_iters=4)), ("StepLR", dict(step_size=3, gamma=0.5))],
]


@pytest.mark.parametrize("schedules", SCHEDULES)
def test_step_by_step_as_pytorch(torch, schedules):
    a, b = make_optimizer(), their_optimizer(torch)
    theirs = torch.optim.lr_scheduler
    ours = [getattr(optim, name)(a, **how) for name, how in schedules]
    oracles = [getattr(theirs, name.replace("LinearWarmup", "LinearLR"))(b, **how) for name, how in schedules]
    for t in range(20):  # past the end of each; the cosine comes down, goes up, and comes down again
        np.testing.assert_allclose(rates(a), rates(b), rtol=1e-12, atol=1e-16)
        assert rates(a)[1] == pytest.approx(2 * rates(a)[0], rel=1e-12)
        for schedule in ours:
            schedule.step(*[t][: t % 2])  # in turn without a metric and with one, which changes nothing
        b.step()  # PyTorch warns unless the optimizer steps first
        for oracle in oracles:
            oracle.step()


@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "CosineAnnealingLR", "LinearWarmup", "ReduceLROnPlateau"])
def test_defaults_are_pytorchs(torch, name):
    theirs = getattr(torch.optim.lr_scheduler, name.replace("LinearWarmup", "LinearLR"))
    ours, theirs = (inspect.signature(schedule).parameters for schedule in (getattr(optim, name), theirs))
    assert [(argument, ours[argument].default) for argument in ours] == [(a, theirs[a].default) for a in ours]


def test_warm_up_then_cosine():
    optimizer = make_optimizer()
    schedules = [optim.LinearWarmup(optimizer, 0.25, total_iters=3), optim.CosineAnnealingLR(optimizer, 10)]
    for t in range(11):
        factor = (0.25 + 0.75 * min(t / 3, 1)) * (1 + math.cos(math.pi * t / 10)) / 2
        assert rates(optimizer) == pytest.approx([0.2 * factor, 0.4 * factor], rel=1e-12, abs=1e-15)
        for schedule in schedules:
            schedule.step()


PLATEAUS = [
    dict(patience=1),
    dict(patience=0, cooldown=2, factor=0.5),
    dict(patience=2, threshold=0.05),
    dict(patience=1, threshold=0.05, threshold_mode="abs"),
    dict(patience=1, mode="max", threshold=0.05),
    dict(patience=1, mode="max", threshold=0.05, threshold_mode="abs"),
    dict(patience=0, factor=0.01, eps=1e-3),
]


@pytest.mark.parametrize("how", PLATEAUS)
@pytest.mark.parametrize("seed", range(3))
def test_plateau_step_by_step_as_pytorch(torch, how, seed):
    a, b = make_optimizer(), their_optimizer(torch)
    schedule, oracle = optim.ReduceLROnPlateau(a, **how), torch.optim.lr_scheduler.ReduceLROnPlateau(b, **how)
    metrics = np.random.default_rng(seed).uniform(0.5, 1.5, 30)
    metrics[[0, 10, 17]] = np.nan, np.nan, np.inf
    for metric in metrics:
        schedule.step(metric)
        oracle.step(metric)
        if "eps" in how and rates(a) != rates(b):
            break  # PyTorch compares each group's cut with eps, tinynet only the first's
        np.testing.assert_allclose(rates(a), rates(b), rtol=1e-12)
    assert rates(a)[0] < 0.2


def test_a_plateau_needs_its_metric():
    schedule = optim.ReduceLROnPlateau(make_optimizer())
    before = schedule.state_dict()
    with pytest.raises(ValueError, match=r"^ReduceLROnPlateau: step needs .*, as in schedule.step\(metric\)$"):
        schedule.step()
    assert schedule.state_dict() == before


FLOORS = [
    ("CosineAnnealingLR", dict(T_max=6, eta_min=0.01), 0.105 + 0.095 * np.cos(np.arange(1, 7) * np.pi / 6)),
    ("ReduceLROnPlateau", dict(patience=0, factor=0.1, min_lr=0.005), [0.2, 0.02, 0.005, 0.005]),
]


@pytest.mark.parametrize("name, how, expected", FLOORS)
def test_the_first_group_has_pytorchs_floor_and_the_other_keeps_its_ratio(torch, name, how, expected):
    a, b = make_optimizer(), their_optimizer(torch)
    schedule, oracle = getattr(optim, name)(a, **how), getattr(torch.optim.lr_scheduler, name)(b, **how)
    for rate in expected:
        schedule.step(1.0)
        b.step()  # PyTorch warns unless the optimizer steps first
        oracle.step(*[1.0] if name == "ReduceLROnPlateau" else [])
        assert rates(a) == pytest.approx([rate, 2 * rate], rel=1e-12)
        assert rates(a)[0] == pytest.approx(rates(b)[0], rel=1e-12)


RESUMED = [
    ("StepLR", dict(step_size=3)),
    ("MultiStepLR", dict(milestones=[2, 6], gamma=0.3)),
    ("CosineAnnealingLR", dict(T_max=5, eta_min=0.001)),
    ("LinearWarmup", dict(start_factor=0.1, total_iters=7)),
    ("ReduceLROnPlateau", dict(patience=1, cooldown=1)),
    ("ReduceLROnPlateau", dict(patience=1, cooldown=5)),
]


@pytest.mark.parametrize("name, how", RESUMED)
@pytest.mark.parametrize("stop", [0, 1, 4, 5])
def test_a_resumed_schedule_goes_on_to_the_bit(name, how, stop):
    straight, resumed = make_optimizer(), make_optimizer()
    schedule, expected = getattr(optim, name)(straight, **how), []
    for t in range(12):
        if t == stop:
            saved = json.loads(json.dumps(schedule.state_dict(), allow_nan=False))
        schedule.step(1 + math.sin(t))
        expected.append(rates(straight))
    schedule = getattr(optim, name)(resumed, **how)
    schedule.load_state_dict(saved)
    for t in range(stop, 12):
        schedule.step(metric=1 + math.sin(t))
        assert rates(resumed) == expected[t]


def test_a_rate_changed_by_hand_is_respected():
    optimizer = make_optimizer()
    schedule = optim.StepLR(optimizer, 2)
    schedule.step()
    optimizer.param_groups[0]["lr"] = 0.7
    schedule.step()
    assert rates(optimizer) == pytest.approx([0.07, 0.04], rel=1e-12)


BAD = [
    ("StepLR", dict(step_size=0), r"StepLR: step_size must be 1 or more, got 0"),
    ("CosineAnnealingLR", dict(T_max=-1), r"CosineAnnealingLR: T_max must be 1 or more, got -1"),
    ("LinearWarmup", dict(start_factor=0), r"LinearWarmup: start_factor must be above 0"),
    ("LinearWarmup", dict(start_factor=1.1), r"LinearWarmup: start_factor must be .* at most 1; got 1.1 and 1.0"),
    ("LinearWarmup", dict(end_factor=-0.1), r"LinearWarmup: .*, end_factor 0 or more, .* and -0.1"),
    ("LinearWarmup", dict(end_factor=1.1), r"LinearWarmup: start_factor must be .* at most 1; got .* and 1.1"),
    ("ReduceLROnPlateau", dict(mode="low"), r"ReduceLROnPlateau: mode must be 'min' or 'max', got 'low'"),
    ("ReduceLROnPlateau", dict(threshold_mode="none"), r"threshold_mode must be 'rel' or 'abs', got 'none'"),
    ("ReduceLROnPlateau", dict(factor=1), r"ReduceLROnPlateau: factor must be at least 0 and below 1, got 1"),
]


@pytest.mark.parametrize("name, how, message", BAD)
def test_bad_arguments_are_named(name, how, message):
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)(make_optimizer(), **how)


def test_a_state_that_does_not_fit_changes_nothing():
    optimizer = make_optimizer()
    schedule, plateau = optim.StepLR(optimizer, 2), optim.ReduceLROnPlateau(make_optimizer(), patience=1)
    for saved in plateau.state_dict() | {"rates": [9.0, 9.0]}, {"t": 3, "rates": [9.0]}:
        with pytest.raises(ValueError, match=r"StepLR: saved state .* does not fit, expected one like"):
            schedule.load_state_dict(saved)
    assert (schedule.t, rates(optimizer)) == (0, [0.2, 0.4])
