"""Optimizers, which change parameters by their gradients, and schedules of the learning rate."""

from tinynet.optim.adam import Adam
from tinynet.optim.optimizer import Optimizer
from tinynet.optim.schedules import (
    CosineAnnealingLR,
    LinearWarmup,
    MultiStepLR,
    ReduceLROnPlateau,
    StepLR,
)
from tinynet.optim.sgd import SGD, PaperSGD

__all__ = [
    "SGD",
    "Adam",
    "CosineAnnealingLR",
    "LinearWarmup",
    "MultiStepLR",
    "Optimizer",
    "PaperSGD",
    "ReduceLROnPlateau",
    "StepLR",
]
