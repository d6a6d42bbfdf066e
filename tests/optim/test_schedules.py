import json
import math

import numpy as np
import pytest

from tinynet import nn, optim


def make_optimizer(lr=0.2):
    """Two groups, the second at twice the rate of the first."""
    p, q = nn.Parameter(np.zeros(2)), nn.Parameter(np.zeros(3))
    return optim.SGD([{"params": [p]}, {"params": [q], "lr": 2 * lr}], lr)


def their_optimizer(torch, lr=0.2):
    p, q = torch.zeros(2, requires_grad=True), torch.zeros(3, requires_grad=True)
    return torch.optim.SGD([{"params": [p]}, {"params": [q], "lr": 2 * lr}], lr)


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


SCHEDULES = [
    ("StepLR", "StepLR", dict(step_size=3)),
    ("StepLR", "StepLR", dict(step_size=2, gamma=0.7)),
    ("MultiStepLR", "MultiStepLR", dict(milestones=[7, 2, 7, 11], gamma=0.5)),
    ("MultiStepLR", "MultiStepLR", dict(milestones=[0, 1])),
    ("CosineAnnealingLR", "CosineAnnealingLR", dict(T_max=8)),
    ("LinearWarmup", "LinearLR", dict()),
    ("LinearWarmup", "LinearLR", dict(start_factor=0.1, end_factor=0.8, total_iters=7)),
]


@pytest.mark.parametrize("ours, theirs, how", SCHEDULES)
def test_step_by_step_as_pytorch(torch, ours, theirs, how):
    a, b = make_optimizer(), their_optimizer(torch)
    schedule = getattr(optim, ours)(a, **how)
    oracle = getattr(torch.optim.lr_scheduler, theirs)(b, **how)
    for _ in range(20):  # past the end of each; the cosine has come down, gone up, and come down
        np.testing.assert_allclose(rates(a), rates(b), rtol=1e-12, atol=1e-12)
        assert rates(a)[1] == pytest.approx(2 * rates(a)[0], rel=1e-12)
        schedule.step()
        b.step()  # PyTorch wants to see one before the schedule's
        oracle.step()


def test_cosine_with_a_floor_keeps_the_ratio(torch):
    a, b = make_optimizer(), their_optimizer(torch)
    schedule = optim.CosineAnnealingLR(a, T_max=6, eta_min=0.01)
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(b, T_max=6, eta_min=0.01)
    for _ in range(6):
        schedule.step()
        b.step()  # PyTorch wants to see one before the schedule's
        oracle.step()
        assert math.isclose(rates(a)[0], rates(b)[0], rel_tol=1e-12)
        assert math.isclose(rates(a)[1], 2 * rates(a)[0], rel_tol=1e-12)
    assert math.isclose(rates(a)[0], 0.01, rel_tol=1e-12)


def test_two_schedules_multiply_as_pytorchs_do(torch):
    a, b = make_optimizer(), their_optimizer(torch)
    ours = [optim.LinearWarmup(a, 0.1, total_iters=4), optim.StepLR(a, 3, 0.5)]
    theirs = torch.optim.lr_scheduler
    oracles = [theirs.LinearLR(b, 0.1, total_iters=4), theirs.StepLR(b, 3, 0.5)]
    for _ in range(10):
        np.testing.assert_allclose(rates(a), rates(b), rtol=1e-12)
        b.step()
        for schedule in ours + oracles:
            schedule.step()


def test_warm_up_then_cosine():
    optimizer = make_optimizer()
    warmup = optim.LinearWarmup(optimizer, 0.25, total_iters=3)
    schedules = [warmup, optim.CosineAnnealingLR(optimizer, 10)]
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
    schedule = optim.ReduceLROnPlateau(a, **how)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(b, **how)
    metrics = np.random.default_rng(seed).uniform(0.5, 1.5, 30)
    metrics[[0, 10, 17]] = np.nan, np.nan, np.inf
    start = rates(a)
    for metric in metrics:
        schedule.step(metric)
        oracle.step(metric)
        if "eps" in how and rates(a) != rates(b):
            break  # PyTorch asks each group, we ask the first: tested below
        np.testing.assert_allclose(rates(a), rates(b), rtol=1e-12)
    assert rates(a)[0] < start[0]


def test_plateau_keeps_the_ratio_at_its_floor(torch):
    a, b = make_optimizer(), their_optimizer(torch)
    schedule = optim.ReduceLROnPlateau(a, patience=0, factor=0.1, min_lr=0.005)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(b, patience=0, factor=0.1, min_lr=0.005)
    for expected in (0.2, 0.02, 0.005, 0.005):
        schedule.step(1.0)
        oracle.step(1.0)
        assert rates(a) == pytest.approx([expected, 2 * expected], rel=1e-12)
        assert rates(a)[0] == pytest.approx(rates(b)[0], rel=1e-12)


MAKERS = {
    "step": lambda o: optim.StepLR(o, 3),
    "milestones": lambda o: optim.MultiStepLR(o, [2, 6], 0.3),
    "cosine": lambda o: optim.CosineAnnealingLR(o, 5, 0.001),
    "warmup": lambda o: optim.LinearWarmup(o, 0.1, total_iters=7),
    "plateau": lambda o: optim.ReduceLROnPlateau(o, patience=1, cooldown=1),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("stop", [0, 1, 4, 5])
def test_a_resumed_schedule_goes_on_to_the_bit(name, stop):
    arguments = [(1 + math.sin(t),) if name == "plateau" else () for t in range(12)]
    straight = make_optimizer()
    schedule = MAKERS[name](straight)
    expected = []
    for t, argument in enumerate(arguments):
        if t == stop:
            saved = json.loads(json.dumps(schedule.state_dict(), allow_nan=False))
        schedule.step(*argument)
        expected.append(rates(straight))
    resumed = make_optimizer()
    schedule = MAKERS[name](resumed)
    schedule.load_state_dict(saved)
    for t in range(stop, 12):
        schedule.step(*arguments[t])
        assert rates(resumed) == expected[t]


def test_a_rate_changed_by_hand_is_respected():
    optimizer = make_optimizer()
    schedule = optim.StepLR(optimizer, 2)
    schedule.step()
    optimizer.param_groups[0]["lr"] = 0.7
    schedule.step()
    assert rates(optimizer) == pytest.approx([0.07, 0.04], rel=1e-12)


def test_bad_arguments_are_named():
    optimizer = make_optimizer()
    with pytest.raises(ValueError, match=r"StepLR: step_size must be at least 1, got 0"):
        optim.StepLR(optimizer, 0)
    with pytest.raises(ValueError, match=r"CosineAnnealingLR: T_max must be at least 1, got -1"):
        optim.CosineAnnealingLR(optimizer, -1)
    with pytest.raises(ValueError, match=r"LinearWarmup: start_factor must be above 0"):
        optim.LinearWarmup(optimizer, 0)
    message = r"ReduceLROnPlateau: mode must be 'min' or 'max', got 'low'"
    with pytest.raises(ValueError, match=message):
        optim.ReduceLROnPlateau(optimizer, "low")
    with pytest.raises(ValueError, match=r"threshold_mode must be 'rel' or 'abs', got 'none'"):
        optim.ReduceLROnPlateau(optimizer, threshold_mode="none")
    with pytest.raises(ValueError, match=r"ReduceLROnPlateau: factor must be below 1, got 1"):
        optim.ReduceLROnPlateau(optimizer, factor=1)
    before = rates(optimizer)
    schedule = optim.StepLR(optimizer, 2)
    plateau = optim.ReduceLROnPlateau(make_optimizer(), patience=1)
    with pytest.raises(ValueError, match=r"StepLR: saved state .* does not fit, expected one like"):
        schedule.load_state_dict(plateau.state_dict() | {"rates": [9.0, 9.0]})
    with pytest.raises(ValueError, match=r"StepLR: saved state .* does not fit, expected one like"):
        schedule.load_state_dict({"t": 3, "rates": [9.0]})
    assert (schedule.t, rates(optimizer)) == (0, before)
